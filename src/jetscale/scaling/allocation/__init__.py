"""The parts of an allocation: its values, what was measured, the law's answer, the sentence."""
