"""Credentials: an API key, a subscription's token or a gateway's, and its windows."""

import asyncio
import time
from pathlib import Path

import pytest

from checks.kits.patience import PATIENCE_S
from checks.kits.relay.bench import (
    KEY,
    PATH,
    Setup,
    message,
    policy,
    script,
    setup_in,
)
from pyglue.api.common import DEFAULT_ACCOUNT
from pyglue.config import Account, Credential
from pyglue.demo.scripted_model import ScriptedModel

BETA = "effort-2025-11-24"
OAUTH_BETA = "oauth-2025-04-20"


def sent(setup: Setup) -> dict[str, str]:
    (headers,) = setup.model.headers
    return {name.lower(): value for name, value in headers.items()}


@pytest.mark.parametrize(
    ("credential", "betas"),
    [
        (Credential.SUBSCRIPTION, f"{BETA},{OAUTH_BETA}"),
        (Credential.GATEWAY, BETA),
    ],
)
async def test_a_token_goes_up_as_a_bearer(
    tmp_path: Path, credential: Credential, betas: str
) -> None:
    async with setup_in(tmp_path, credential=credential) as setup:
        system = [{"type": "text", "text": "The CLI's own words."}]
        body = message("hi", system=system)
        status, _ = await setup.post(
            body, anthropic_beta=BETA, authorization="Bearer theirs", x_api_key="theirs"
        )
        assert status == 200
        headers = sent(setup)
        assert headers["authorization"] == f"Bearer {KEY}"
        assert headers["anthropic-beta"] == betas
        assert "x-api-key" not in headers
        assert setup.model.bodies[0]["system"] == system


async def test_a_subscription_s_beta_goes_up_alone(tmp_path: Path) -> None:
    async with setup_in(tmp_path, credential=Credential.SUBSCRIPTION) as setup:
        assert (await setup.post(message()))[0] == 200
        assert sent(setup)["anthropic-beta"] == OAUTH_BETA


async def test_no_agent_asks_for_a_subscription_s_beta(tmp_path: Path) -> None:
    async with setup_in(tmp_path) as setup:
        error = await setup.refused(message(), anthropic_beta=OAUTH_BETA)
        assert OAUTH_BETA in error
        assert setup.model.bodies == []


@pytest.mark.parametrize("credential", list(Credential))
async def test_no_answer_repeats_the_credential(
    tmp_path: Path, credential: Credential
) -> None:
    async with setup_in(tmp_path, credential=credential) as setup:
        step = {
            "status": 400,
            "message": f"bad token {KEY}",
            "headers": {"request-id": f"r-{KEY}"},
        }
        async with setup.alice.post(PATH, json=message(script(step))) as answer:
            assert answer.status == 400
            assert KEY not in await answer.text()
            assert KEY not in str(answer.headers)
        text = message(script({"text": f"the key is {KEY}"}))
        assert KEY not in (await setup.post(text))[1]


@pytest.mark.parametrize(
    ("credential", "held", "said"),
    [
        (Credential.API_KEY, "sk-ant-oat01-x", "configure it as oauthTokenFile"),
        (Credential.SUBSCRIPTION, "sk-ant-api03-x", "configure it as apiKeyFile"),
        (Credential.SUBSCRIPTION, "", "the subscription token's file"),
        (Credential.GATEWAY, "a b", "the gateway token's file"),
    ],
)
async def test_a_file_of_another_kind_is_named(
    tmp_path: Path, credential: Credential, held: str, said: str
) -> None:
    async with setup_in(tmp_path, credential=credential) as setup:
        Path(str(setup.config.relay.api_key_file)).write_text(held)
        error = await setup.refused(message())
        assert error.startswith("401 authentication_error")
        assert said in error
        assert not held or held not in error
        assert setup.model.bodies == []


def windows(**values: object) -> dict[str, str]:
    begin = "anthropic-ratelimit-unified-"
    return {f"{begin}{k.replace('_', '-')}": str(v) for k, v in values.items()}


@pytest.mark.parametrize(
    ("ahead", "status", "wanted"),
    [
        ({"5h": 600, "7d": 90_000}, {"5h": "rejected", "7d": "allowed"}, 600),
        ({"5h": 600, "7d": 90_000}, {"5h": "rejected", "7d": "rejected"}, 90_000),
        ({"5h": -5}, {"5h": "rejected"}, 0),
        ({"5h": 600}, {"5h": "allowed"}, None),
        ({"5h": "soon"}, {"5h": "rejected"}, None),
    ],
)
async def test_a_used_up_window_says_how_long_to_wait(
    tmp_path: Path,
    ahead: dict[str, int | str],
    status: dict[str, str],
    wanted: int | None,
) -> None:
    async with setup_in(tmp_path, credential=Credential.SUBSCRIPTION) as setup:
        now = int(time.time())
        resets = {
            f"{k}-reset": now + v if isinstance(v, int) else v for k, v in ahead.items()
        }
        states = {f"{k}-status": v for k, v in status.items()}
        headers = windows(**resets, **states)
        step = {"status": 429, "message": "used up", "headers": headers}
        async with setup.alice.post(PATH, json=message(script(step))) as answer:
            assert answer.status == 429
            long = wanted is not None and wanted > 60
            assert (answer.headers.get("x-should-retry") == "false") == long
        settled = await setup.hived.until_settled(1)
        found = settled.retry_after_s
        if wanted is None:
            assert found is None
        else:
            assert found is not None
            assert found <= wanted
            assert found == 0 if wanted == 0 else found > 0


async def test_hived_is_told_of_a_subscription_s_windows_only(tmp_path: Path) -> None:
    reset = int(time.time()) + 3600
    headers = windows(
        **{"5h-utilization": 0.82, "5h-reset": reset, "5h-status": "allowed_warning"},
        **{"7d-utilization": "lots", "7d-reset": reset, "7d-status": "allowed"},
    )
    body = message(script({"text": "hi", "headers": headers}))
    for credential, names in (
        (Credential.SUBSCRIPTION, ["5h"]),
        (Credential.GATEWAY, []),
    ):
        async with setup_in(tmp_path, credential=credential) as setup:
            await setup.post(body)
            settled = await setup.hived.until_settled(1)
            assert [window.name for window in settled.windows] == names
            for window in settled.windows:
                assert window.words == "5-hour window 82 % used"
                assert (window.resets_at, window.is_used_up) == (reset, False)


def sent_to(model: ScriptedModel) -> dict[str, str]:
    return {name.lower(): value for name, value in model.headers[0].items()}


async def test_the_account_of_the_policy_pays_from_the_next_request_on(
    tmp_path: Path,
) -> None:
    other = ScriptedModel()
    await other.start()
    key = tmp_path / "team-key"
    key.write_text("sk-ant-of-the-team")
    team = Account(
        upstream_url=other.address,
        credential=Credential.SUBSCRIPTION,
        api_key_file=str(key),
    )
    try:
        async with setup_in(tmp_path, others={"team": team}) as setup:
            assert (await setup.post(message()))[0] == 200
            setup.hived.change(policy(account="team"))
            async with asyncio.timeout(PATIENCE_S):
                while not other.headers:
                    assert (await setup.post(message()))[0] == 200
            assert sent_to(other)["authorization"] == "Bearer sk-ant-of-the-team"
            assert KEY not in str(other.headers)
            assert "sk-ant-of-the-team" not in str(setup.model.headers)
            await setup.hived.until_settled(2)
            whose = [settled.account for settled in setup.hived.settled]
            assert (whose[0], whose[-1]) == (DEFAULT_ACCOUNT, "team")
            setup.hived.change(policy(account="gone"))
            async with asyncio.timeout(PATIENCE_S):
                while (await setup.post(message()))[0] == 200:
                    pass
            assert "no account 'gone'" in await setup.refused(message())
    finally:
        await other.stop()
