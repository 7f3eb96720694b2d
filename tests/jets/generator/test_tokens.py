from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from jetscale.jets.generator.tokens import BASE, NEUTRINOS, TOKEN_OF_CODE, TOKENS, key_of, tokens_of
from jetscale.jets.schema import PARTS

RESONANCES = PARTS["res2p"].labels + PARTS["res34p"].labels


def test_labels_spell_out_their_names():
    for name in (*RESONANCES, *PARTS["qcd"].labels):
        letters = name.rsplit("_", 1)[1].removesuffix("light")
        spelled = sorted("".join(tokens_of(name).elements()))
        assert spelled == sorted(letters)


def test_no_two_resonance_labels_have_one_key():
    assert len({key_of(tokens_of(name).elements()) for name in RESONANCES}) == 161


@given(st.lists(st.sampled_from(TOKENS), max_size=BASE - 1))
def test_keys_tell_multisets_apart_whatever_the_order(tokens):
    key, digits = key_of(tokens), Counter()
    assert key == key_of(tokens[::-1])
    for token in TOKENS:
        key, count = divmod(key, BASE)
        if count:
            digits[token] = count
    assert digits == Counter(tokens)


def test_light_quarks_share_a_token_and_neutrinos_another():
    assert TOKEN_OF_CODE[1] == TOKEN_OF_CODE[2] == "q"
    assert {TOKEN_OF_CODE[code] for code in NEUTRINOS} == {"v"}
    assert set(TOKEN_OF_CODE.values()) == set(TOKENS) - {"taue", "taum"}
