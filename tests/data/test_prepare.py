import socket
import sys

import pytest

from repcon_jax.data import prepare


@pytest.fixture
def offline(monkeypatch):
    def unreachable(*args, **kwargs):
        raise socket.gaierror("no network in tests")

    monkeypatch.setattr(prepare.socket, "getaddrinfo", unreachable)
    monkeypatch.setattr(prepare.urllib.request, "getproxies", dict)


@pytest.fixture
def online(monkeypatch):
    monkeypatch.setattr(prepare, "_check_network", lambda name: None)


def run(capsys, *arguments):
    code = prepare.main(arguments)
    output = capsys.readouterr()
    return code, (output.out + output.err).strip()


def test_already_prepared(tfds_source, capsys):
    code, text = run(capsys, "tiny", "--data-dir", str(tfds_source))
    assert code == 0
    assert "already prepared in" in text


def test_built_in(capsys):
    assert run(capsys, "digits") == (0, "'digits' is built in and needs no preparation.")


def test_unknown_name(capsys, tmp_path):
    code, text = run(capsys, "cifr10", "--data-dir", str(tmp_path))
    assert code == 2
    assert "did you mean 'cifar10'" in text


def test_no_network_is_one_sentence(offline, capsys, tmp_path):
    code, text = run(capsys, "mnist", "--data-dir", str(tmp_path))
    assert code == 2
    assert "needs the network" in text
    assert "\n" not in text


def test_no_tfds_says_what_to_install(monkeypatch, capsys, tmp_path):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    code, text = run(capsys, "mnist", "--data-dir", str(tmp_path))
    assert code == 2
    assert "pip install tensorflow-datasets" in text


@pytest.mark.parametrize(
    ("error", "advice"),
    [
        (ImportError("No module named 'tensorflow'\nsecond line"), "pip install tensorflow-cpu"),
        (ConnectionError("refused\nsecond line"), "ConnectionError: refused"),
        (AssertionError("disk full"), "disk full"),
    ],
)
def test_failures_of_tfds_are_one_sentence(online, monkeypatch, capsys, tmp_path, error, advice):
    import tensorflow_datasets as tfds

    def failing(*args, **kwargs):
        assert kwargs["file_format"] == "array_record"
        raise error

    monkeypatch.setattr(tfds, "builder", failing)
    code, text = run(capsys, "mnist", "--data-dir", str(tmp_path))
    assert code == 2
    assert advice in text
    assert "\n" not in text


def test_prepares(online, monkeypatch, capsys, tmp_path):
    import tensorflow_datasets as tfds

    class Builder:
        data_dir = "there"
        prepared = False

        def download_and_prepare(self):
            self.prepared = True

    builder = Builder()
    monkeypatch.setattr(tfds, "builder", lambda *args, **kwargs: builder)
    assert run(capsys, "mnist", "--data-dir", str(tmp_path)) == (0, "'mnist' is prepared in there.")
    assert builder.prepared


def test_other_file_format(tmp_path, capsys):
    folder = tmp_path / "mnist/3.0.1"
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").write_text('{"splits": [{"name": "train"}], "fileFormat": "tfrecord"}')
    code, text = run(capsys, "mnist", "--data-dir", str(tmp_path))
    assert code == 2
    assert "is prepared as tfrecord but must be array_record" in text
