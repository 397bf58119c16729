"""The tree of a transparency log and its tiles (RFC 6962, C2SP tlog-tiles, signed-note), written from the
specifications alone: what `tidewaiter` makes and believes is not tested against itself."""

import base64
import hashlib
import struct

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


def leaf(entry):
    return hashlib.sha256(b"\0" + entry).digest()


def root(leaves):
    """The Merkle tree hash over leaf hashes."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return hashlib.sha256(b"\1" + root(leaves[:split]) + root(leaves[split:])).digest()


def tile_path(row, index, width=256):
    digits = f"{index % 1000:03}"
    while index >= 1000:
        index //= 1000
        digits = f"x{index % 1000:03}/{digits}"
    return f"tile/{row}/{digits}" + ("" if width == 256 else f".p/{width}")


def bundle(entries):
    return b"".join(struct.pack(">H", len(entry)) + entry for entry in entries)


def unbundle(data):
    entries = []
    while data:
        (length,) = struct.unpack(">H", data[:2])
        entries.append(data[2 : 2 + length])
        data = data[2 + length :]
    return entries


def tiles(entries):
    """Path below the log -> bytes, for a log of these entries."""
    out = {}
    for at in range(0, len(entries), 256):
        some = entries[at : at + 256]
        out[tile_path("entries", at // 256, len(some))] = bundle(some)
    row, level = [leaf(entry) for entry in entries], 0
    while row:
        for at in range(0, len(row), 256):
            some = row[at : at + 256]
            out[tile_path(level, at // 256, len(some))] = b"".join(some)
        row = [root(row[at : at + 256]) for at in range(0, len(row) - len(row) % 256, 256)]
        level += 1
    return out


def verifier(name, public):
    """A note's verifier key, of an Ed25519 key's 32 bytes."""
    keyid = hashlib.sha256(name.encode() + b"\n\x01" + public).digest()[:4]
    encoded = base64.b64encode(b"\x01" + public).decode()
    return f"{name}+{keyid.hex()}+{encoded}"


def open_checkpoint(note, key):
    """(origin, size, root) of a checkpoint that the key signed."""
    text, _, signatures = note.decode().rpartition("\n\n")
    text += "\n"
    name, _, rest = key.partition("+")
    public = base64.b64decode(rest.partition("+")[2])[1:]
    for line in signatures.splitlines():
        _, signer, encoded = line.split(" ")
        made = base64.b64decode(encoded)
        if signer == name and made[:4].hex() == rest.partition("+")[0]:
            Ed25519PublicKey.from_public_bytes(public).verify(made[4:], text.encode())
            origin, size, tree, *_ = text.splitlines()
            return origin, int(size), base64.b64decode(tree)
    raise InvalidSignature(f"{name} has not signed")


def sign_checkpoint(origin, entries, private):
    """A log's own note over these entries."""
    text = f"{origin}\n{len(entries)}\n{base64.b64encode(root([leaf(entry) for entry in entries])).decode()}\n"
    public = private.public_key().public_bytes_raw()
    keyid = hashlib.sha256(origin.encode() + b"\n\x01" + public).digest()[:4]
    signed = base64.b64encode(keyid + private.sign(text.encode())).decode()
    return f"{text}\n— {origin} {signed}\n"


def consistency(entries, old):
    """The proof that a log of these entries began with the first `old` (RFC 6962, 2.1.2)."""

    def part(leaves, size, whole):
        if size == len(leaves):
            return [] if whole else [root(leaves)]
        split = 1 << (len(leaves) - 1).bit_length() - 1
        if size <= split:
            return [*part(leaves[:split], size, whole), root(leaves[split:])]
        return [*part(leaves[split:], size - split, False), root(leaves[:split])]

    leaves = [leaf(entry) for entry in entries]
    return part(leaves, old, True) if 0 < old < len(leaves) else []


def witness_key(name, private):
    """A witness's verifier key (C2SP tlog-cosignature)."""
    public = b"\x04" + private.public_key().public_bytes_raw()
    keyid = hashlib.sha256(name.encode() + b"\n" + public).digest()[:4]
    return f"{name}+{keyid.hex()}+{base64.b64encode(public).decode()}"


def cosign(note, name, private, seconds):
    """A log's note with a witness's signature of that time."""
    text = note[: note.index("\n\n") + 1]
    keyid = bytes.fromhex(witness_key(name, private).split("+")[1])
    made = private.sign(f"cosignature/v1\ntime {seconds}\n{text}".encode())
    return note + f"— {name} {base64.b64encode(keyid + struct.pack('>Q', seconds) + made).decode()}\n"


def add_checkpoint(old, proof, note):
    """What a witness is asked (C2SP tlog-witness)."""
    lines = [f"old {old}", *(base64.b64encode(one).decode() for one in proof)]
    return ("\n".join(lines) + "\n\n" + note).encode()


def cosigned_at(note, key):
    """When the witness with this key cosigned a checkpoint (C2SP tlog-cosignature), in seconds; None if it did not."""
    text, _, signatures = note.decode().rpartition("\n\n")
    name, keyid, encoded = key.split("+", 2)
    kind, public = base64.b64decode(encoded)[0], base64.b64decode(encoded)[1:]
    assert kind == 4 and keyid == hashlib.sha256(name.encode() + b"\n\x04" + public).digest()[:4].hex()
    for line in signatures.splitlines():
        _, signer, made = line.split(" ")
        made = base64.b64decode(made)
        if signer == name and made[:4].hex() == keyid:
            (seconds,) = struct.unpack(">Q", made[4:12])
            message = f"cosignature/v1\ntime {seconds}\n{text}\n"
            Ed25519PublicKey.from_public_bytes(public).verify(made[12:], message.encode())
            return seconds
    return None
