from pathlib import Path

from deployer.stores.master_key import MasterKey


def test_masters_with_one_key_file_have_one_ca_and_its_key_is_none_of_the_others(tmp_path: Path) -> None:
    key = MasterKey.load_or_make(tmp_path / "master.key")
    again = MasterKey.load(tmp_path / "master.key")
    other = MasterKey.load_or_make(tmp_path / "other.key")
    assert key.authority().pin == again.authority().pin != other.authority().pin
    assert again.authority().has_issued(key.authority().certificate)
    assert key.private.private_bytes_raw() != key.secret("ca, first half") != key.secret("ca, second half")
