"""The folder of trusted roots: all roots of certifi, under the file names that OpenSSL expects."""

import re
import ssl
import subprocess
from pathlib import Path

import certifi
import pytest

from deploy.trust import subject_hash, trust_folder


@pytest.fixture(scope="module")
def files():
    return trust_folder()


def ders(pem):
    blocks = re.findall("-----BEGIN.*?END CERTIFICATE-----", pem, re.DOTALL)
    return {ssl.PEM_cert_to_DER_cert(block) for block in blocks}


def test_all_roots_are_there_and_no_others(files):
    """OpenSSL loads the same roots from the list and from the folder."""
    there = {ssl.PEM_cert_to_DER_cert(content.decode()) for content in files.values()}

    assert there == ders(Path(certifi.where()).read_text())
    assert len(there) > 100


def test_openssl_reads_every_file(files, tmp_path):
    """One certificate in each."""
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(cafile=str(tmp_path / name))

        assert context.cert_store_stats()["x509"] == 1


def test_files_have_the_names_that_openssl_looks_for(files, tmp_path):
    """The openssl command computes the same hashes."""
    for name, content in files.items():
        (tmp_path / f"{name}.pem").write_bytes(content)

    subprocess.run(["openssl", "rehash", tmp_path], check=True)

    links = {link.readlink().name: link.name for link in tmp_path.iterdir() if link.is_symlink()}
    assert len(links) == len(files)
    assert all(link.partition(".")[0] == name.partition(".")[0] for name, link in links.items())


def test_equal_subjects_have_files_of_their_own(monkeypatch, tmp_path):
    """OpenSSL tries them by their numbers."""
    from tests.hostile_server import Authority

    pem = tmp_path / "two.pem"
    pem.write_bytes(Authority().pem + Authority().pem)
    monkeypatch.setattr(certifi, "where", lambda: str(pem))

    names = sorted(trust_folder())

    assert [name.partition(".")[2] for name in names] == ["0", "1"]
    assert len({name.partition(".")[0] for name in names}) == 1


def test_the_folder_is_the_same_each_time(files):
    """Independent of the order of the list."""
    assert trust_folder() == files
    assert all(subject_hash(ssl.PEM_cert_to_DER_cert(it.decode())) for it in files.values())
