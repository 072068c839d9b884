"""What git's words mean. The texts are those of git 2.39 in the C locale."""

from __future__ import annotations

import pytest

from swhkit.plugin import NotFound, Unavailable
from swhkit_git.classify import Failure, failure_of, named_object, visit_error, words_of

ID = "de" * 20
SSH = "Warning: something\n"
LOST = (
    "\nfatal: Could not read from remote repository.\n\nPlease make sure you have the correct access rights"
)
HTTP = "fatal: unable to access 'http://h/x.git/': "


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        (HTTP + "The requested URL returned error: 301", Failure.REDIRECT),
        (HTTP + "The requested URL returned error: 308", Failure.REDIRECT),
        (HTTP + "The requested URL returned error: 403", Failure.GONE),
        (HTTP + "The requested URL returned error: 410", Failure.GONE),
        ("fatal: repository 'http://h/x.git/' not found", Failure.GONE),
        ("remote: Repository not found.\nfatal: repository 'https://h/x/' not found", Failure.GONE),
        (
            "error: unable to read askpass response from '/bin/false'\n"
            "fatal: could not read Username for 'https://h': terminal prompts disabled",
            Failure.GONE,
        ),
        ("ERROR: Repository not found.\nfatal: Could not read from remote repository.", Failure.GONE),
        (HTTP + "The requested URL returned error: 429", Failure.AWAY),
        (HTTP + "The requested URL returned error: 500", Failure.AWAY),
        (HTTP + "The requested URL returned error: 503", Failure.AWAY),
        (HTTP + "The requested URL returned error: 400", Failure.AWAY),
        (HTTP + "Failed to connect to h port 80 after 0 ms: Couldn't connect to server", Failure.AWAY),
        (HTTP + "Could not resolve host: h", Failure.AWAY),
        ("fatal: unable to connect to h:\nh[0: 127.0.0.1]: errno=Connection refused\n", Failure.AWAY),
        ("fatal: unable to look up h (port 9418) (Name or service not known)", Failure.AWAY),
        ("fatal: remote error: access denied or repository not exported: /x.git", Failure.AWAY),
        ("fatal: '/x' does not appear to be a git repository\nfatal: Could not read from …", Failure.AWAY),
        (SSH + "ssh: connect to host h port 22: Connection refused" + LOST, Failure.AWAY),
        (SSH + "ssh: Could not resolve hostname h: Name or service not known" + LOST, Failure.AWAY),
        (SSH + "me@h: Permission denied (publickey,password)." + LOST, Failure.AWAY),
        (
            SSH + "No ED25519 host key is known for h and you have requested strict checking." + LOST,
            Failure.BROKEN,
        ),
        (SSH + "Host key verification failed." + LOST, Failure.AWAY),
        (SSH + "Connection closed by 192.0.2.1 port 22" + LOST, Failure.AWAY),
        (SSH + "kex_exchange_identification: read: Connection reset by peer" + LOST, Failure.AWAY),
        ("Timeout, server h not responding.\nfatal: early EOF", Failure.AWAY),
        ("remote: Timeout, server h not responding.\nfatal: early EOF", Failure.BROKEN),
        (f"fatal: remote error: upload-pack: not our ref {ID}", Failure.NOT_OURS),
        (f"fatal: couldn't find remote ref {ID}", Failure.NOT_OURS),
        (f"error: Server does not allow request for unadvertised object {ID}", Failure.NOT_OURS),
        ("error: http://h/x.git did not send all necessary objects", Failure.LACKING),
        ("fatal: pack has 3 unresolved deltas", Failure.LACKING),
        (f"error: Could not read {ID}\nfatal: Failed to traverse parents", Failure.LACKING),
        (f"remote: error: Could not read {ID}\nremote: fatal: Failed to traverse parents", Failure.BROKEN),
        (f"remote: fatal: unable to read {ID}\nfatal: protocol error: bad pack header", Failure.BROKEN),
        ("remote: fatal: Out of memory, malloc failed\nfatal: early EOF", Failure.BROKEN),
        (f"remote: fatal: object {ID} not found", Failure.BROKEN),
        ("fatal: the remote end hung up unexpectedly", Failure.BROKEN),
        ("", Failure.BROKEN),
        ("error: unable to write file x: No space left on device", Failure.REFUSED),
        (f"fatal: SHA1 COLLISION FOUND WITH {ID} !", Failure.REFUSED),
        ("fatal: transport 'ext' not allowed", Failure.REFUSED),
    ],
)
def test_failures(text: str, failure: Failure) -> None:
    assert failure_of(text) is failure


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (f"fatal: remote error: upload-pack: not our ref {ID}", bytes.fromhex(ID)),
        (f"fatal: couldn't find remote ref {ID}", bytes.fromhex(ID)),
        ("fatal: remote error: upload-pack: not our ref", None),
        (f"fatal: remote error: upload-pack: not our ref {ID}00", None),
        ("fatal: early EOF", None),
    ],
)
def test_the_object_a_server_names(text: str, named: bytes | None) -> None:
    assert named_object(text) == named


def test_a_visit_ends_not_found_or_failed() -> None:
    gone = visit_error("https://h/x", "fatal: repository 'https://h/x/' not found")
    assert isinstance(gone, NotFound)
    away = visit_error("https://h/x", HTTP + "Could not resolve host: h")
    assert isinstance(away, Unavailable)
    assert "Could not resolve host" in str(away)


def test_words_are_one_short_line_without_noise_and_secrets() -> None:
    text = (
        "warning: redirecting\nfatal: '/x' does not appear to be a git repository\n"
        "fatal: Could not read from remote repository.\n\n"
        "Please make sure you have the correct access rights\nand the repository exists.\n"
    )
    assert words_of(text) == "fatal: '/x' does not appear to be a git repository"
    assert words_of("") == "git said nothing"
    assert (
        words_of("fatal: Could not read from remote repository.")
        == "fatal: Could not read from remote repository."
    )
    assert "s3cret" not in words_of("fatal: repository 'https://me:s3cret@h/x' not found")
    assert len(words_of("fatal: " + "x" * 10_000)) <= 400
    assert "\n" not in words_of("remote: a\nremote: b")


def test_urls_are_shown_without_credentials() -> None:
    assert "s3cret" not in str(visit_error("https://me:s3cret@h/x", "fatal: early EOF"))
