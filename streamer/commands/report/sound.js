
// Plays one session at a time, with a cursor over all sessions.
let player = null;

function placeCursors() {
  const time = player ? player.currentTime : 0;
  const x = xOf(time);
  const isSeen = player && (time > 0 || !player.paused) && x >= view.left && x <= view.left + view.width;
  for (const { cursor } of strips) {
    cursor.hidden = !isSeen;
    cursor.style.left = `${x}px`;
  }
}

// Lets the view follow the sound, a page at a time, with one chain of frames for all players.
let frame = 0;

function follow() {
  cancelAnimationFrame(frame);
  if (!player || player.paused) return placeCursors();
  const time = player.currentTime;
  const isSeen = time >= view.start && time <= view.start + view.length;
  if (!isSeen && !isHeld() && time < view.span) look(time - 0.05 * view.length, view.length);
  placeCursors();
  frame = requestAnimationFrame(follow);
}

function seek(strip, time) {
  const audio = strip.audio;
  if (!audio || time > strip.session.duration) return;
  const wasPlaying = player && !player.paused;
  if (player && player !== audio) player.pause();
  player = audio;
  audio.currentTime = Math.max(0, time);
  if (wasPlaying) audio.play();
  placeCursors();
}

function togglePlayer() {
  player ??= strips.find(({ audio }) => audio)?.audio ?? null;
  if (player) player.paused ? player.play() : player.pause();
  return player !== null;
}

function wireSound(strip) {
  const { audio } = strip;
  if (!audio) return;
  audio.addEventListener("play", () => {
    if (player && player !== audio) player.pause();
    player = audio;
    follow();
  });
  for (const event of ["seeking", "timeupdate"]) {
    audio.addEventListener(event, () => player === audio && placeCursors());
  }
  audio.addEventListener("seeking", () => (player ??= audio));
  audio.addEventListener("error", () => audio.after(element("p", "This browser cannot play the sound.")));
}
