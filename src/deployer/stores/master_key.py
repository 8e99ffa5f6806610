"""The masters' key: one file (0600) from which the command-signing key and other secrets come (DESIGN 3)."""

from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from deployer.errors import StartError
from deployer.kit.files import TooOpen, read_private, write_private
from deployer.kit.tls.authority import Authority
from deployer.protocol.signing import public_text

SECRET_BYTES: Final = 32


class MasterKey:
    """Signs commands; derives secrets that all masters of an installation share."""

    def __init__(self, private: Ed25519PrivateKey) -> None:
        self.private = private
        self.public = public_text(private.public_key())

    @classmethod
    def load(cls, path: Path, *, follow: bool = True) -> "MasterKey":
        """Read the file; StartError when it is missing, not private, or no key. `follow` as in `read_private`."""
        try:
            key = serialization.load_pem_private_key(read_private(path, follow=follow), password=None)
        except FileNotFoundError:
            raise StartError(f"the masters' key {path} does not exist: copy it from another master") from None
        except TooOpen as error:
            raise StartError(str(error)) from None
        except (OSError, ValueError, TypeError) as error:
            raise StartError(f"{path} holds no masters' key: {error}") from None
        if not isinstance(key, Ed25519PrivateKey):
            raise StartError(f"{path} holds a key of another kind: an Ed25519 key in PEM is needed")
        return cls(key)

    @classmethod
    def load_or_make(cls, path: Path) -> "MasterKey":
        """Read the file, or make it on the first start."""
        if not (path.exists() or path.is_symlink()):
            pem = Ed25519PrivateKey.generate().private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            write_private(path, pem)
        return cls.load(path, follow=False)

    def secret(self, purpose: str) -> bytes:
        """A secret of 32 bytes for one purpose (HKDF, RFC 5869)."""
        seed = self.private.private_bytes_raw()
        return HKDF(hashes.SHA256(), SECRET_BYTES, salt=None, info=f"deployer {purpose} v1".encode()).derive(seed)

    def authority(self) -> Authority:
        """The installation's CA: every master makes the same of this key, so there is no more to copy (DESIGN 3)."""
        return Authority(self.secret("ca, first half") + self.secret("ca, second half"))
