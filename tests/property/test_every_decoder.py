"""No decoder is forgotten: every place of the code that reads bytes is fuzzed, or reads what nobody else writes."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.property.decoders import DECODERS

ROOT: Final = Path(__file__).parents[2]
# What turns bytes or text into a structure.
READERS: Final = frozenset(
    {
        *(
            "canonical.decode",
            "canonical.try_decode",
            "msgspec.json.decode",
            "msgspec.msgpack.decode",
            "msgspec.convert",
        ),
        *(
            "json.loads",
            "json.load",
            "tomllib.loads",
            "tomllib.load",
            "pickle.loads",
            "yaml.safe_load",
            "ET.fromstring",
        ),
        *("base64.b64decode", "base64.urlsafe_b64decode", "b64decode", "decompressor.decompress", "jwt.decode"),
        *("x509.load_pem_x509_certificate", "x509.load_der_x509_certificate", "serialization.load_pem_private_key"),
        *("serialization.load_pem_public_key", "LENGTH.unpack", "FRAME.unpack", "HEAD_START.unpack_from"),
        *("_BLOCK_HEAD.unpack_from", "struct.unpack", "struct.unpack_from", "email.message_from_bytes"),
    }
)
# Where they stand: which decoders reach them.
FUZZED: Final[dict[str, str]] = {
    "seed.packs.decode_index": "index",
    "seed.packs.head_bytes": "pack's head",
    "seed.packs.read_head": "pack's head",
    "seed.routes._decoded": "at a seed: MissingRequest",
    "swarm.analysis.archives._patch": "a file: zip",
    "swarm.analysis.archives._retimed_gzip": "a file: gzip",
    "swarm.analysis.archives._times": "a file: gzip",
    "swarm.answers.parsed": "answer: LookupAnswer",
    "swarm.authority._read": "root certificate",
    "swarm.beginning.Staging.plans_for": "plan of a tag",
    "swarm.claims._lease": "lease",
    "swarm.claims.condemned": "condemned",
    "swarm.client.TrackerClient.beat": "announce answer",
    "swarm.tracker.figures.relay.Relays._tell": "relay answer",
    "swarm.tracker.figures.serve._Serve.relay": "relay",
    "swarm.tracker.figures.service.Figures.relayed": "report",
    "swarm.tracker.figures.service.Figures.reported": "report",
    "swarm.tracker.figures.steps.decode_log": "rollout's log",
    "swarm.tracker.figures.uniting.Uniting._take": "told events",
    "swarm.tracker.figures.uniting.Uniting.answer": "ask for events",
    "swarm.dht.batch.check_record": "dht record",
    "swarm.dht.batch.open_batch": "dht batch of a member",
    "swarm.dht.wire.open_packet": "dht find of a member",
    "swarm.encoding._decompress": "packed block",
    "swarm.events._decode": "watch's event",
    "swarm.export._head": "export",
    "swarm.http.problem.error_from": "problem",
    "swarm.joining._join_at": "answer: JoinAnswer",
    "swarm.joining._look": "answer: SwarmInfo",
    "swarm.peer.doctor._answers": "answer: SwarmInfo",
    "swarm.keyring.decode_keyring": "keyring",
    "swarm.log.committed": "entry's hash",
    "swarm.log.decode_entry": "entry: staged",
    "swarm.log.parse_entry": "entry: publish",
    "swarm.manifest.blocks_in": "block segment",
    "swarm.manifest.files_in": "file segment",
    "swarm.manifest.parse_root": "manifest's root",
    "swarm.objects.accounts.decode_costs": "costs",
    "swarm.http.validate.decode_body": "verb: pull",
    "swarm.oidc.claims._object": "bearer token",
    "swarm.oidc.claims._verified": "bearer token",
    "swarm.oidc.discovery.discover": "issuer's answer",
    "swarm.oidc.fetch._object": "issuer's answer",
    "swarm.oidc.flows._converted": "issuer's answer",
    "swarm.http.validate._query": "verb: pull",
    "swarm.peer.beacons.open_beacon": "beacon of a member",
    "swarm.peer.channels._decode": "channel: hello",
    "swarm.peer.exchange.Exchange._tag": "tag request",
    "swarm.peer.fetch.Fetcher.tag": "tag answer",
    "swarm.peer.giving.GivenStream.next_run": "run request",
    "swarm.peer.giving.GivenStream.open": "run head",
    "swarm.peer.grants.grant_of": "grant's header",
    "swarm.peer.operations._fitting": "verb: pull",
    "swarm.peer.stream.RunStream._learn_key": "run key",
    "swarm.peer.stream.parse_head": "frame",
    "swarm.peer.upload._json": "a seed's answer",
    "swarm.peer.upload.unframed": "blocks sent",
    "swarm.receipt.open_receipt": "receipt",
    "swarm.records.open_location": "location",
    "swarm.records.open_sealed": "credential",
    "swarm.records.sealed_by": "grant",
    "swarm.records.term_of": "credential's term",
    "swarm.roster.open_roster": "roster",
    "swarm.secret_text.parse_secret": "swarm secret",
    "swarm.snapshot.open_snapshot": "snapshot",
    "swarm.token.parse_token": "token",
    "swarm.tracker.forecasts.decode": "forecasts",
    "swarm.tracker.people.identify._name_and_password": "basic",
    "swarm.tracker.people.sessions._opened": "session",
    "swarm.tracker.people.sessions._bytes_of": "session",
    "swarm.tracker.sealed.opened": "order to purge",
    "swarm.tracker.serve_announces.announce_routes.announce": "announce",
    "swarm.tracker.serve_pushes.push_routes.push": "push",
    "swarm.tracker.state.body_of": "request: JoinRequest",
    "swarm.trust.open_succession": "succession",
}
# Where they stand, and who alone wrote what they read there.
OURS: Final[dict[str, str]] = {
    "swarm.fuse.wire.parse_forgets": "the kernel",
    "swarm.objects.s3_signing.SignedAsStated.payload": "a request that this process makes",
    "seed.packs._fault_of_structure": "this process made the index",
    "swarm.answers.expiry_of": "the home's own certificate",
    "swarm.authority.Authority._certify": "the CA's own certificate",
    "swarm.agent_methods.Call.result_of": "the agent of this home",
    "swarm.agent_client._event": "the agent of this home",
    "swarm.local_agent.refusal_of": "the agent of this home",
    "swarm.local_agent.told_by": "the agent of this home",
    "swarm.login.Logins.read": "the home's secret; one that is damaged is told",
    "swarm.tracker.certificates.GivenCertificate.expires": "the operator's own certificate",
    "swarm.peer.admitted.Admitted.__init__": "the home's state; one that is damaged is absent",
    "swarm.peer.follow_verbs._plain": "what this process has just written",
    "swarm.peer.people.change_people": "the arguments of a verb, which were decoded before",
    "swarm.reader_calls.ReaderCalls.json": "the agent of this home",
    "swarm.reader_calls._refuse": "the agent of this home",
    "swarm.wants.parse_file": "the user's file",
    "swarm.cli.stats._with_heat": "the agent of this home",
    "swarm.cli.stats.stats": "the agent of this home",
    "swarm.cli.forecasts.learn_rollouts": "the agent of this home",
    "swarm.sim.calibration.read_book": "the home's own notes; what is damaged is absent",
    "swarm.analysis.reads.Reads.load": "the home's own notes; what is damaged is absent",
    "swarm.cli.demo.cluster.Cluster.wait_ready": "a process that this one started",
    "swarm.cli.demo.cluster.Cluster.result": "a process that this one started",
    "swarm.cli.prices.read_prices": "the operator's file",
    "swarm.cli.rolling.plan_of": "the options of a command",
    "swarm.cli.root._signed": "the operator's file",
    "swarm.cli.root.install": "the operator's file; what is in it is then opened as a roster",
    "swarm.config._from_file": "the operator's file",
    "swarm.dht.state.load_contacts": "the home's state; one that is damaged is absent",
    "swarm.home.Home.key": "the home's key",
    "swarm.home.Home.swarm": "the home's state",
    "swarm.peer.giving.GivenStream._message": "four bytes are any number, whose bound is checked",
    "swarm.peer.ledger.Ledger._read": "the home's state; one that is damaged is absent",
    "swarm.peer.purging.Purging._load": "the home's state; one that is damaged is absent",
    "swarm.peer.sites.site_of": "the home's own credential, which was checked",
    "swarm.peer.stages.last_publish": "the home's own note; one that is damaged is absent",
    "swarm.peer.time_floor.know_time": "the home's state; one that is damaged is absent",
    "swarm.peer.traces._read": "the home's own notes; one that is damaged is absent",
    "swarm.peer.trees.Trees.__init__": "the home's state; one that is damaged is absent",
    "swarm.peer.trees.Trees.manifest": "the home's state; one that is damaged is absent",
    "swarm.peer.upload.SeedClient.commit": "base64 as in the watch's event; the receipt is then opened",
    "swarm.resealing._tls_key": "the home's key",
    "swarm.scan_cache.ScanCache._read": "the home's cache; one that is damaged is absent",
    "swarm.scan_cache.ScanCache.load": "the home's cache; one that is damaged is absent",
    "swarm.standing.agent_of": "the process on this home",
    "swarm.subscription.decode_state": "the home's state; one that is damaged is told",
    "swarm.tracker.custody.kept_root": "sealed with the store key",
    "swarm.tracker.custody.online_key": "sealed with the store key",
    "swarm.tracker.keys.SwarmKeys._take_secret": "sealed with the store key",
    "swarm.tracker.keys.SwarmKeys._take_successor": "sealed with the store key",
    "swarm.tracker.keys.load_or_create": "sealed with the store key",
    "swarm.tracker.own_certificate._fits": "sealed with the store key",
    "swarm.tracker.own_certificate._kept": "sealed with the store key",
    "swarm.tracker.replacing._resealed": "trackers and seeds; only what a known key sealed is looked at",
}


def readers_in(path: Path, root: Path = ROOT) -> Iterator[str]:
    """The functions of a module that read bytes into a structure."""

    def visit(node: ast.AST, name: str) -> Iterator[str]:
        for child in ast.iter_child_nodes(node):
            is_named = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
            if isinstance(child, ast.Call) and ast.unparse(child.func) in READERS:
                yield name
            yield from visit(child, f"{name}.{child.name}" if is_named else name)  # type: ignore[attr-defined]

    module = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
    yield from visit(ast.parse(path.read_text()), module)


def test_whatever_reads_bytes_is_fuzzed_or_reads_what_is_ours() -> None:
    places = {
        place for package in ("swarm", "seed") for path in (ROOT / package).rglob("*.py") for place in readers_in(path)
    }
    forgotten = places - FUZZED.keys() - OURS.keys() - {"swarm.canonical.decode"}
    assert not forgotten, f"fuzz these (tests/property/decoders.py), or say here whose bytes they read: {forgotten}"
    gone = (FUZZED.keys() | OURS.keys()) - places
    assert not gone, f"these read nothing any more: {gone}"
    assert set(FUZZED.values()) <= DECODERS.keys()


def test_a_new_reader_would_be_noticed(tmp_path: Path) -> None:
    (tmp_path / "new.py").write_text("class A:\n    def b(self, x):\n        return [msgspec.json.decode(x)]\n")
    assert list(readers_in(tmp_path / "new.py", tmp_path)) == ["new.A.b"]
