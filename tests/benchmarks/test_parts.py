"""The small parts: peers, protocols, checkouts."""

import json

import pytest

from benchmarks.harness import peers, protocols, worlds


@pytest.mark.parametrize("name", peers.names())
def test_every_peer_is_complete(name):
    """A peer folder that cannot be read stops the whole run."""
    peer = peers.read(name)
    assert (peer.folder / "requirements.txt").is_file()
    assert all([peer.title, peer.documentation, peer.command])


def test_the_default_servers_exist():
    """The command without arguments is the one that everybody runs."""
    assert [peers.read(name).name for name in peers.DEFAULT] == list(peers.DEFAULT)


def test_an_unknown_server_is_named_with_the_known_ones():
    """A typing mistake should cost one look."""
    with pytest.raises(KeyError, match=r"no server 'flask'.*flask-gunicorn"):
        peers.read("flask")


@pytest.mark.parametrize(
    ("protocol", "answer"),
    [
        ("row", {"prediction": 8.75}),
        ("variables", {"prediction": 8.75}),
        ("v2", {"outputs": [{"name": "predict", "data": [8.75]}]}),
        ("dataframe_split", {"predictions": [8.75]}),
    ],
)
def test_every_protocol_finds_its_prediction(protocol, answer):
    """A prediction that is looked for in the wrong place would exclude the server."""
    assert protocols.prediction(protocol, json.dumps(answer).encode()) == 8.75


def test_the_spelling_of_a_number_is_learned_from_the_answer():
    """Servers write the same number differently; the load generator compares text."""
    assert protocols.spelling(b'{"id": "8-7", "data": [8.7500]}', 8.75) == b"8.7500"


def test_a_flip_leaves_one_worktree(tmp_path):
    """git-sync removes the old worktree right after the flip: so must the measurement."""
    world = worlds.World(tmp_path / "root")
    for edition in range(2):
        worktree, revision = world.commit(worlds.light_models(2, edition, changed=1))
        world.flip(worktree)
    assert world.link.resolve().name == revision
    assert [folder.name for folder in (tmp_path / "root" / ".worktrees").iterdir()] == [revision]
    assert "EDITION = 1" in (world.link / worlds.model_name(0) / "etls.py").read_text()
    assert "EDITION = 0" in (world.link / worlds.model_name(1) / "etls.py").read_text()
