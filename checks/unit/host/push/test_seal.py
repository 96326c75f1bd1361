"""Encryption and signatures of Web Push: the RFC's example, and what is refused."""

import time
from typing import Final

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec

from checks.kits.host.push import Device, b64, claims, unb64
from pyglue.errors import ErrorCode, HiveError
from pyglue.host.push.seal import TEXT_MAX, Receiver, Sealer, encrypt, seal

# RFC 8291, appendix A.
PLAIN: Final = b"When I grow up, I want to be a watermelon"
AUTH: Final = "BTBZMqHH6r4Tts7J_aSIgg"
POINT: Final = (
    "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcx"
    "aOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
)
SECRET: Final = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"
SENDER: Final = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
SALT: Final = "DGv6ra1nlYgDCS1FRnbzlw"
BODY: Final = (
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27ml"
    "mlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPT"
    "pK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)


def test_the_example_of_the_rfc() -> None:
    number = int.from_bytes(unb64(SENDER), "big")
    body = encrypt(
        PLAIN,
        Receiver.read(POINT, AUTH),
        key=ec.derive_private_key(number, ec.SECP256R1()),
        salt=unb64(SALT),
    )
    assert b64(body) == BODY
    device = Device(unb64(SECRET), unb64(AUTH))
    assert b64(device.point) == POINT
    assert device.opened(unb64(BODY)) == PLAIN


@pytest.mark.parametrize("size", [0, 1, 254, 255, 256, 1000, TEXT_MAX])
def test_only_the_browser_reads_it_and_its_length_says_little(size: int) -> None:
    device, other = Device(auth=b"a" * 16), Device(auth=b"a" * 16)
    receiver = Receiver.read(b64(device.point), b64(device.auth))
    text = b"x" * size
    body = seal(text, receiver)
    assert device.opened(body) == text
    assert (len(body) - 86 - 16) % 256 == 0 and len(body) <= 4096
    assert seal(text, receiver) != body
    for wrong in (other, Device(unb64(SECRET), b"b" * 16)):
        with pytest.raises(InvalidTag):
            wrong.opened(body)


def test_what_is_too_long_is_refused() -> None:
    receiver = Receiver.read(POINT, AUTH)
    with pytest.raises(HiveError) as caught:
        seal(b"x" * (TEXT_MAX + 1), receiver)
    assert caught.value.code is ErrorCode.TOO_LARGE


@pytest.mark.parametrize(
    ("point", "auth", "what"),
    [
        ("", AUTH, "p256dh"),
        ("not base64!", AUTH, "p256dh"),
        ("\u20ac", AUTH, "p256dh"),
        (POINT[:-2], AUTH, "p256dh"),
        (b64(b"\4" + bytes(64)), AUTH, "p256dh"),  # on no curve
        (b64(b"\2" + unb64(POINT)[1:33]), AUTH, "p256dh"),  # compressed
        (b64(unb64(POINT)[:-1] + b"\0"), AUTH, "p256dh"),
        (POINT, "", "auth"),
        (POINT, b64(bytes(15)), "auth"),
        (POINT, b64(bytes(17)), "auth"),
        (POINT, "****", "auth"),
    ],
)
def test_keys_that_are_none_are_refused(point: str, auth: str, what: str) -> None:
    with pytest.raises(HiveError, match=f"Invalid {what}") as caught:
        Receiver.read(point, auth)
    assert caught.value.code is ErrorCode.BAD_REQUEST


def test_keys_with_padding_are_read() -> None:
    assert Receiver.read(f"{POINT}=", f"{AUTH}==") == Receiver.read(POINT, AUTH)


def test_a_request_says_who_sends() -> None:
    sealer, now = Sealer(), time.time()
    header = sealer.authorization("https://push.example", "mailto:me@x.example", now)
    said, key = claims(header)
    assert said["aud"] == "https://push.example"
    assert said["sub"] == "mailto:me@x.example"
    assert now < said["exp"] <= now + 86400
    assert key == sealer.public and len(unb64(key)) == 65
    said, _ = claims(sealer.authorization("https://push.example", None, now))
    assert "sub" not in said


def test_a_key_is_the_same_again() -> None:
    first = Sealer()
    assert len(first.number) == 32
    assert Sealer(first.number).public == first.public != Sealer().public
