"""The page's figure beside the label, from its own script."""

from __future__ import annotations

import json
import shutil
import subprocess

import numpy as np
import pytest

from streamer.recognition.decision import SILENCE, UNCERTAIN, WARMING_UP, Decision, DecisionConfig
from tests.helpers.command import EMOTIONS
from tests.helpers.places import ROOT

NODE = shutil.which("node")
#: The page's codes of the states.
CODES = {SILENCE: -1, UNCERTAIN: -2, WARMING_UP: -3}
#: It imports nothing, so it runs without a page.
SCRIPT = ROOT / "streamer/serve/page/decision.js"


def figures_of_page(lines):
    """What the page shows for pairs of probabilities and a label's code."""
    program = f"""{SCRIPT.read_text(encoding="utf-8")}
        let averages = null;
        console.log(JSON.stringify({json.dumps(lines)}.map(([probabilities, code]) => {{
            const found = decisive(probabilities, {json.dumps(EMOTIONS)}, code, averages);
            averages = found.averages;
            return found.shares;
        }})));"""
    command = [NODE, "--input-type=module", "-"]
    result = subprocess.run(command, input=program, capture_output=True, text=True, check=True)
    return json.loads(result.stdout)


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_the_figure_beside_the_label_is_what_decided_it():
    decision, rng = Decision(EMOTIONS, 37, DecisionConfig()), np.random.default_rng(7)
    state, lines, decided = decision.initial_state(), [], {}
    # Speech and pauses; after the longer one the decision begins afresh.
    speech_of = [0.9] * 40 + [0.0] * 20 + [0.9] * 40 + [0.0] * 60 + [0.9] * 60
    likely = rng.dirichlet([0.3] * len(EMOTIONS), len(speech_of) // 10).repeat(10, axis=0)
    for shares, speech in zip(likely.tolist(), speech_of, strict=True):
        label, state = decision.decide(shares, speech, state)
        if label in EMOTIONS:
            decided[len(lines)] = decision.weighed(state)
        code = EMOTIONS.index(label) if label in EMOTIONS else CODES[label]
        lines.append((dict(zip(EMOTIONS, shares, strict=True)), code))
    shown = figures_of_page(lines)
    assert len(decided) > 50
    for index, expected in decided.items():
        assert shown[index] == pytest.approx(expected.tolist(), abs=1e-5)
    assert all(shown[index] is None for index, (_, code) in enumerate(lines) if code in (-1, -3))
