// What decided a label, as in streamer/recognition/decision.py; this file imports nothing.

export const TIMESTEP_S = 0.04;
const SMOOTHING = 1 - Math.exp(-TIMESTEP_S / 0.3);

// Codes of what is no emotion; emotions count from 0, and a gap, -4, is never a label.
export const SILENCE = -1, UNCERTAIN = -2, WARMING_UP = -3, NOTHING = -5;

// Takes a timestep's probabilities by label, its label's code, and the averages before it, null at first.
// Returns the averages after it, and the shares that decided the label, null without speech.
export function decisive(probabilities, labels, code, averages) {
  if (code === WARMING_UP) return { averages: null, shares: null }; // it begins afresh
  if (code < 0 && code !== UNCERTAIN) return { averages, shares: null };
  const now = labels.map((label) => probabilities[label]);
  const before = averages || now;
  const after = now.map((one, index) => before[index] + SMOOTHING * (one - before[index]));
  if (code < 0) return { averages: after, shares: after };
  // The emotion shown stays until another leads it by a margin; until then both count the same.
  const weights = after.map((one, index) => (index === code ? Math.max(...after) : one));
  const total = weights.reduce((sum, one) => sum + one, 0);
  return { averages: after, shares: weights.map((one) => one / total) };
}
