"""Which advertised refs are branches of the snapshot, and how they become one.

The rules are those of the Software Heritage git loader: ``is_branch`` says which names count; symbolic refs are aliases.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from swhkit.plugin import Branch, BranchType, Kind, Snapshot, is_branch

_TYPES = {
    Kind.CONTENT: BranchType.CONTENT,
    Kind.DIRECTORY: BranchType.DIRECTORY,
    Kind.REVISION: BranchType.REVISION,
    Kind.RELEASE: BranchType.RELEASE,
}
#: The kinds a ref can point at.
KINDS = tuple(_TYPES)


class Listing(msgspec.Struct, frozen=True):
    """What a server says of its refs: name → 20-byte digest, and name → name for those that are symbolic."""

    refs: Mapping[bytes, bytes]
    symrefs: Mapping[bytes, bytes]


class Refs(msgspec.Struct, frozen=True):
    """The branches to be: name → digest, and name → target for the aliases. No name is in both."""

    targets: Mapping[bytes, bytes]
    aliases: Mapping[bytes, bytes]

    def digests(self) -> list[bytes]:
        """What the branches point at, each once, in the order of the server."""
        return list(dict.fromkeys(self.targets.values()))


def branches_of(listing: Listing) -> Refs:
    """The branches a listing gives. A symbolic ref that only leads round in a circle is taken for what it points at."""
    aliases = {
        name: target
        for name, target in listing.symrefs.items()
        if is_branch(name) and not _goes_round(name, listing.symrefs)
    }
    targets = {
        name: digest for name, digest in listing.refs.items() if is_branch(name) and name not in aliases
    }
    return Refs(targets, aliases)


def _goes_round(name: bytes, symrefs: Mapping[bytes, bytes]) -> bool:
    """Whether a chain of symbolic refs ends nowhere; git itself follows no longer ones (SYMREF_MAXDEPTH)."""
    for _ in range(5):
        if (target := symrefs.get(name)) is None:
            return False
        name = target
    return True


def same_as(refs: Refs, snapshot: Snapshot) -> bool:
    """Whether the branches are those of ``snapshot``; types apart, which follow from the objects."""
    plain: dict[bytes, bytes | None] = {
        name: branch.target if branch else None
        for name, branch in snapshot.branches.items()
        if branch is None or branch.type is not BranchType.ALIAS
    }
    aliases = {
        name: branch.target
        for name, branch in snapshot.branches.items()
        if branch and branch.type is BranchType.ALIAS
    }
    dangling = dict.fromkeys(_dangling(refs.aliases, refs.targets))
    return aliases == refs.aliases and plain == {**dangling, **refs.targets}


def snapshot_of(refs: Refs, kinds: Mapping[bytes, Kind], lost: Collection[bytes] = ()) -> Snapshot:
    """The snapshot of the branches without those named in ``lost``; ``kinds`` has the kind of every digest.

    An alias to a branch that is not there gets the dangling entry it needs.
    """
    branches: dict[bytes, Branch | None] = {
        name: Branch(_TYPES[kinds[digest]], digest)
        for name, digest in refs.targets.items()
        if name not in lost
    }
    branches |= dict.fromkeys(_dangling(refs.aliases, branches))
    branches |= {name: Branch(BranchType.ALIAS, target) for name, target in refs.aliases.items()}
    return Snapshot(branches)


def _dangling(aliases: Mapping[bytes, bytes], plain: Collection[bytes]) -> set[bytes]:
    """The names that aliases lead to and that nothing stands for."""
    return {target for target in aliases.values() if target not in plain and target not in aliases}
