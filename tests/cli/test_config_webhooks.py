"""What ``swhkit config check`` says of webhooks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from swhkit.cli.main import group

WARNING = (
    "swhkit: warning: webhooks take deliveries without proof that they come from the forge ({}): anybody can have visits "
    "asked for in its name; set {} to what the forge is told to sign with\n"
)
Check = Callable[..., str]


@pytest.fixture
def check(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Check:
    """What a check of a configuration says on stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWHKIT_CONFIG", raising=False)

    def check(text: str, code: int = 0) -> str:
        (tmp_path / "swhkit.yaml").write_text(text)
        done = CliRunner().invoke(group, ["config", "check"], catch_exceptions=False)
        assert done.exit_code == code, done.output
        return done.stderr

    return check


def test_a_webhook_that_is_named_without_a_secret_is_a_warning(check: Check) -> None:
    assert check("webhooks: {github: {}}") == WARNING.format("github", "webhooks.github.secret")
    text = "webhooks: {gitea: {secret: null}, github: {secret: hush}, sourceforge: {rest: 'https://sf.example/rest'}}"
    assert check(text) == WARNING.format(
        "gitea, sourceforge", "webhooks.gitea.secret, webhooks.sourceforge.secret"
    )


@pytest.mark.parametrize("text", ["", "webhooks: {}", "webhooks: {github: {secret: hush}}"])
def test_others_are_none(check: Check, text: str) -> None:
    assert check(text) == ""


def test_a_secret_from_the_environment(check: Check, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HUSH", "hush")
    assert check('webhooks: {github: {secret: "${HUSH}"}}') == ""
    monkeypatch.setenv("HUSH", "")
    told = check('webhooks: {github: {secret: "${HUSH}"}}', code=2)
    assert "webhooks.github" in told
    assert "an empty secret proves nothing" in told


def test_a_webhook_that_cannot_be_used(check: Check, tmp_path: Path) -> None:
    (tmp_path / "plugins").mkdir()
    (tmp_path / "plugins/broken.py").write_text(
        "from swhkit.plugin import Provider, WebhookConfig, hookimpl\n\n\n"
        "@hookimpl\ndef swhkit_webhooks():\n"
        "    return [Provider('broken', 'nothing', 'no_such_module:Nobody', WebhookConfig)]\n"
    )
    told = check("plugins_dir: plugins\nwebhooks: {broken: {secret: hush}}", code=2)
    assert "the webhook 'broken' of" in told
    assert "no_such_module" in told


def test_what_init_writes_needs_no_warning(check: Check, tmp_path: Path) -> None:
    assert CliRunner().invoke(group, ["init"]).exit_code == 0
    text = (tmp_path / "swhkit.yaml").read_text()
    assert "\n#  github:\n" in text
    assert check(text) == ""
    assert "webhooks.github.secret" in check(text.replace("\n#  github:\n", "\n  github:\n"))
