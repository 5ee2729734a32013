"""Signatures of commands: who may, who may not, and that nothing else passes."""

from __future__ import annotations

import base64

import pytest

from driftloop.messages import SIGNATURE, Command, encode
from driftloop.messages.signing import Key, Verifier, make_keys, parse_key, signature
from tests.streams import command

KINDS = ["ed25519", "hmac"]


def made(algorithm: str) -> tuple[Key, Key]:
    secret, public = make_keys(algorithm)
    return parse_key(secret), parse_key(public)


def value_of(who: str) -> bytes:
    return encode(command("pin", who=who)).value


@pytest.mark.parametrize("algorithm", KINDS)
def test_what_the_owner_of_a_key_signs_is_trusted_and_nothing_else(algorithm: str) -> None:
    secret, public = made(algorithm)
    verifier = Verifier({"ada": public, "eve": made(algorithm)[1]})
    value = value_of("ada")
    header = signature(secret, "ada", value)
    assert verifier.fault(value, [(SIGNATURE, header.encode())], "ada") is None
    reasons = {
        "nothing": verifier.fault(value, [], "ada"),
        "no headers": verifier.fault(value, None, "ada"),
        "other bytes": verifier.fault(value + b" ", [(SIGNATURE, header.encode())], "ada"),
        "no value": verifier.fault(None, [(SIGNATURE, header.encode())], "ada"),
        "other person": verifier.fault(value_of("eve"), [(SIGNATURE, header.encode())], "eve"),
        "other key": verifier.fault(
            value, [(SIGNATURE, header.replace("ada", "eve").encode())], "ada"
        ),
        "twice": verifier.fault(value, [(SIGNATURE, header.encode())] * 2, "ada"),
    }
    assert {name: found and found[0] for name, found in reasons.items()} == {
        "nothing": "unsigned-command",
        "no headers": "unsigned-command",
        "other bytes": "bad-signature",
        "no value": "bad-signature",
        "other person": "bad-signature",
        "other key": "bad-signature",
        "twice": "bad-signature",
    }


def test_a_key_signs_for_others_only_as_a_delegate() -> None:
    secret, public = made("hmac")
    value = value_of("ada")
    headers = [(SIGNATURE, signature(secret, "dashboard", value).encode())]
    why = Verifier({"dashboard": public}).fault(value, headers, "ada")
    assert why == ("bad-signature", "it was signed by 'dashboard', and says that 'ada' gives it")
    assert Verifier({"dashboard": public}, ["dashboard"]).fault(value, headers, "ada") is None


@pytest.mark.parametrize(
    "header",
    [
        b"",
        None,
        b"hmac",
        b"hmac:ada:",
        b"hmac:ada:?",
        b"hmac:nobody:AAAA",
        b"ed25519:ada:AAAA",
        b"none:ada:",
        b"hmac:ada:AAAA:x",
        b"\xff\xfe::",
    ],
)
def test_any_other_header_is_refused_without_an_exception(header: bytes | None) -> None:
    found = Verifier({"ada": made("hmac")[1]}).fault(value_of("ada"), [(SIGNATURE, header)], "ada")
    assert found is not None
    assert found[0] == "bad-signature"


def test_a_public_key_can_not_be_used_as_a_shared_secret() -> None:
    """What verifies Ed25519 is public: an HMAC made with it must not pass."""
    _, public = made("ed25519")
    value = value_of("ada")
    forged = signature(Key("hmac", public.data), "ada", value)
    found = Verifier({"ada": public}).fault(value, [(SIGNATURE, forged.encode())], "ada")
    assert found is not None
    assert found[0] == "bad-signature"


def test_the_test_vector_of_rfc_8032_signs_as_it_says() -> None:
    """RFC 8032, section 7.1, test 2."""
    seed = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    expected = bytes.fromhex(
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )
    header = signature(Key("ed25519", seed), "a", b"\x72")
    assert base64.b64decode(header.split(":")[2]) == expected


@pytest.mark.parametrize(
    "text", ["", "ed25519:", "ed25519:AAAA", "hmac:AAAA", "hmac:&", "rsa:AAAA", "secret"]
)
def test_a_key_of_another_form_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(ValueError, match="base64") as found:
        parse_key(text)
    assert "AAAA" not in str(found.value)
    assert "secret" not in str(found.value)


def test_a_key_does_not_show_itself() -> None:
    secret, _ = make_keys("hmac")
    key = parse_key(secret)
    assert str(key.data) not in repr(key)
    assert isinstance(command("pin"), Command)
