"""Log entries: both seals, the grant, the chain, and the rules inside one entry."""

from __future__ import annotations

import msgspec
import pytest

from swarm import canonical, log
from swarm.errors import RemoteProtocolError, UsageError
from swarm.limits import LOG_ENTRY_MAX_BYTES, LOG_MAX_MOVES, MESSAGE_MAX_CHARS
from swarm.log import Endorsement, Entry, Move, SignedEntry
from swarm.records import Rule
from swarm.trust import Trust
from tests.unit.log_samples import (
    CA_KEY,
    FIRST,
    GRANT,
    OTHER,
    PUBLISHER,
    V1,
    V2,
    WALL,
    after,
    changed,
    grant_of,
    signed,
)


def test_an_entry_with_both_seals_is_read_back() -> None:
    data = signed(FIRST)
    assert log.verify_entry(data, authority=Trust(CA_KEY.public)) == FIRST
    assert log.entry_hash(data) != log.entry_hash(signed(changed(FIRST, message="other")))
    assert FIRST.version == V1


def test_one_seal_is_not_enough() -> None:
    half = log.seal_entry(PUBLISHER, FIRST, GRANT)
    assert log.verify_publisher(half, authority=Trust(CA_KEY.public)) == FIRST
    with pytest.raises(RemoteProtocolError, match="not endorsed by a tracker"):
        log.verify_entry(half, authority=Trust(CA_KEY.public))
    parsed, _ = log.parse_entry(signed(FIRST))
    alone = canonical.encode(SignedEntry(parsed.body, parsed.grant, parsed.endorsements[1:]))
    with pytest.raises(RemoteProtocolError, match="not endorsed by its publisher"):
        log.verify_entry(alone, authority=Trust(CA_KEY.public))


def test_for_a_replay_the_trackers_seal_is_enough_and_needed() -> None:
    assert log.verify_endorsed(signed(FIRST), authority=Trust(CA_KEY.public)) == FIRST
    half = log.seal_entry(PUBLISHER, FIRST, GRANT)
    parsed, _ = log.parse_entry(signed(FIRST))
    other_body = SignedEntry(canonical.encode(changed(FIRST, message="x")), parsed.grant, parsed.endorsements)
    for bad in (half, log.endorse(OTHER, half), canonical.encode(other_body)):
        with pytest.raises(RemoteProtocolError):
            log.verify_endorsed(bad, authority=Trust(CA_KEY.public))


def test_seals_of_others_are_worth_nothing() -> None:
    with pytest.raises(RemoteProtocolError, match="not signed by"):
        log.verify_entry(log.endorse(OTHER, log.seal_entry(PUBLISHER, FIRST, GRANT)), authority=Trust(CA_KEY.public))
    with pytest.raises(RemoteProtocolError, match="not signed by"):
        log.verify_entry(signed(FIRST), authority=Trust(OTHER.public))
    with pytest.raises(RemoteProtocolError, match="not endorsed by its publisher"):
        log.verify_entry(signed(FIRST, key=OTHER), authority=Trust(CA_KEY.public))
    stranger = changed(FIRST, publisher=OTHER.public)
    with pytest.raises(RemoteProtocolError, match="somebody else's grant"):
        log.verify_entry(signed(stranger, key=OTHER), authority=Trust(CA_KEY.public))


def test_a_tracker_cannot_speak_for_a_publisher() -> None:
    parsed, _ = log.parse_entry(log.seal_entry(PUBLISHER, FIRST, GRANT))
    body = parsed.body
    for seal in (bytes(64), CA_KEY.sign(log.PUBLISHER_CONTEXT, body), PUBLISHER.sign("grant", body)):
        claimed = SignedEntry(body, GRANT, (Endorsement(PUBLISHER.public, "publisher", seal),))
        with pytest.raises(RemoteProtocolError, match="not signed by"):
            log.verify_entry(log.endorse(CA_KEY, canonical.encode(claimed)), authority=Trust(CA_KEY.public))


def test_a_seal_is_bound_to_its_part() -> None:
    """The tracker's seal covers body, grant and the publisher's seal: none can be exchanged."""
    parsed, _ = log.parse_entry(signed(FIRST))
    publisher, tracker = parsed.endorsements
    other_grant = grant_of(PUBLISHER.public, Rule("publish", "*"))
    mixes = [
        SignedEntry(canonical.encode(changed(FIRST, serial=1, message="x")), parsed.grant, parsed.endorsements),
        SignedEntry(parsed.body, other_grant, parsed.endorsements),
        SignedEntry(parsed.body, parsed.grant, (publisher, msgspec.structs.replace(tracker, public=OTHER.public))),
        SignedEntry(parsed.body, parsed.grant, (tracker, publisher)),
        SignedEntry(parsed.body, parsed.grant, (publisher, tracker, tracker)),
        SignedEntry(parsed.body, parsed.grant, (publisher, Endorsement(CA_KEY.public, "tracker", publisher.seal))),
    ]
    for mix in mixes:
        with pytest.raises(RemoteProtocolError):
            log.verify_entry(canonical.encode(mix), authority=Trust(CA_KEY.public))


def test_the_grant_must_have_covered_it_at_that_time() -> None:
    publish = Rule("publish", "library/*")
    good = {"issued": WALL, "expires": WALL + 1}
    log.verify_entry(signed(FIRST, grant_of(PUBLISHER.public, publish, **good)), authority=Trust(CA_KEY.public))
    refused = [
        grant_of(PUBLISHER.public, publish, issued=WALL - 10, expires=WALL),
        grant_of(PUBLISHER.public, publish, issued=WALL + 301, expires=WALL + 900),
        grant_of(PUBLISHER.public, Rule("read", "*")),
        grant_of(PUBLISHER.public, Rule("publish", "team/*")),
        grant_of(PUBLISHER.public),
        b"",
    ]
    for grant in refused:
        with pytest.raises(RemoteProtocolError):
            log.verify_entry(signed(FIRST, grant), authority=Trust(CA_KEY.public))


def test_an_entry_itself_never_expires() -> None:
    """Verification takes no present time: what was allowed when it was signed stays true."""
    assert "wall_now" not in log.verify_entry.__annotations__


def test_an_entry_follows_the_one_before_it_and_no_other() -> None:
    data = signed(FIRST)
    log.check_follows(FIRST, 0, b"")
    log.check_follows(after(data), 1, log.entry_hash(data))
    for serial, previous in ((0, b""), (1, b""), (1, log.entry_hash(b"other")), (2, log.entry_hash(data))):
        with pytest.raises(RemoteProtocolError, match="does not follow"):
            log.check_follows(after(data), serial, previous)


def malformed() -> list[Entry]:
    tag = after(signed(FIRST))
    return [
        changed(FIRST, dataset="roads"),
        changed(FIRST, dataset="Library/roads"),
        changed(FIRST, dataset="library/../roads"),
        changed(FIRST, serial=1, previous=bytes(32)),
        changed(tag, previous=b""),
        changed(tag, previous=bytes(31)),
        changed(FIRST, moves=(Move("latest", V1), Move("latest", V1))),
        changed(FIRST, moves=(Move(".x", V1),)),
        changed(FIRST, moves=(Move("x" * 129, V1),)),
        changed(FIRST, moves=()),
        changed(FIRST, moves=tuple(Move(f"t{number}", V1) for number in range(LOG_MAX_MOVES + 1))),
        changed(FIRST, moves=(Move("a", V1), Move("b", V2))),
        changed(FIRST, moves=(Move("a", None),)),
        changed(FIRST, totals=None),
        changed(tag, totals=FIRST.totals),
        changed(tag, moves=(Move("a", None),)),
        changed(tag, kind="rollback", moves=(Move("a", None),)),
        changed(tag, kind="rm"),
        changed(tag, kind="rm", moves=(Move("a", None), Move("b", V1))),
        changed(tag, kind="publish"),
        changed(FIRST, kind="purge"),
        changed(FIRST, message="x" * (MESSAGE_MAX_CHARS + 1)),
        changed(FIRST, message="\x1b[31mred"),
        changed(FIRST, message="\x7f"),
        changed(FIRST, message="\x9b31m"),
        changed(FIRST, message="\u202egnp.exe"),
        changed(FIRST, message="\u2028"),
        changed(FIRST, serial=0),
        changed(FIRST, serial=-1),
        changed(FIRST, wall_time=-1),
        changed(FIRST, format=2),
        changed(FIRST, publisher=bytes(31)),
        changed(FIRST, moves=(Move("a", bytes(31)),)),
    ]


@pytest.mark.parametrize("entry", malformed(), ids=range(len(malformed())))
def test_malformed_entries_are_refused_by_both_sides(entry: Entry) -> None:
    body = log.encode_entry(entry)
    seal = Endorsement(PUBLISHER.public, "publisher", PUBLISHER.sign(log.PUBLISHER_CONTEXT, body))
    with pytest.raises(RemoteProtocolError):
        log.verify_publisher(canonical.encode(SignedEntry(body, GRANT, (seal,))), authority=Trust(CA_KEY.public))


def test_our_own_mistakes_are_usage_errors() -> None:
    with pytest.raises(UsageError, match="control characters"):
        log.seal_entry(PUBLISHER, changed(FIRST, message="\0"), GRANT)
    with pytest.raises(UsageError, match="one tag twice"):
        log.seal_entry(PUBLISHER, changed(FIRST, moves=(Move("a", V1), Move("a", V1))), GRANT)


def test_what_is_too_long_or_not_canonical_is_refused() -> None:
    data = signed(FIRST)
    for bad in (data + b"\0", data[:-1], b"", bytes(LOG_ENTRY_MAX_BYTES + 1), b"\xdc\x00\x03" + data[1:]):
        with pytest.raises(RemoteProtocolError):
            log.verify_entry(bad, authority=Trust(CA_KEY.public))


def test_the_largest_entry_fits() -> None:
    moves = tuple(Move(f"{number:0128}", V1) for number in range(LOG_MAX_MOVES))
    rules = [Rule("publish", f"{'s' * 64}/{number:063}*") for number in range(31)]
    entry = changed(FIRST, moves=moves, message="\N{GRINNING FACE}" * MESSAGE_MAX_CHARS)
    data = signed(entry, grant_of(PUBLISHER.public, *rules, Rule("publish", "*")))
    assert log.verify_entry(data, authority=Trust(CA_KEY.public)) == entry


def test_a_conflict_names_the_winner() -> None:
    text = log.conflict_text(FIRST, ["latest", "v1"])
    assert "entry 1 of library/roads" in text
    assert "publish of 'latest', 'v1' by" in text
    assert PUBLISHER.peer_id[:12] in text
    assert "at 2027-01-15 08:00:00 UTC" in text


def test_a_conflict_with_many_tags_or_a_far_moment_is_told_too() -> None:
    text = log.conflict_text(changed(FIRST, wall_time=(1 << 53) - 1), [f"t{number}" for number in range(64)])
    assert "'t7' and 56 more by" in text
    assert "'t8'" not in text
    assert "9999-12-31" in text
