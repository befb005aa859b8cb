"""Every limit of the wire format and of what a stranger can make us hold, in one table.

These numbers are part of the protocol: changing one that is marked *wire* makes other bytes, so it needs a new format
version. Sizes are bytes, times seconds, unless the name says otherwise.
"""

from __future__ import annotations

from typing import Final

KIB: Final = 1024
MIB: Final = 1024 * KIB

# Protocol versions that this program understands (lowest, highest).
PROTOCOL_LOWEST: Final = 1
PROTOCOL_HIGHEST: Final = 1

# Names (wire).
NAME_CHARS: Final = 64
TAG_CHARS: Final = 128
PATH_BYTES: Final = 4096
PATH_PART_BYTES: Final = 255
PATH_PARTS_MAX: Final = 128
LINK_TARGET_BYTES: Final = 4096
# As many links as Linux follows in one path, and the parts of a path met on the way.
LINK_HOPS_MAX: Final = 40
LINK_STEPS_MAX: Final = 1024

# Blocks (wire): FastCDC minimum, parameter and maximum.
BLOCK_MIN_BYTES: Final = 64 * KIB
BLOCK_TARGET_BYTES: Final = 256 * KIB
BLOCK_MAX_BYTES: Final = MIB
# A file of this size or more is cut alone, from its own start (wire).
LARGE_FILE_BYTES: Final = 64 * KIB
# An encoded block is one codec byte and a payload that is never longer than the plain bytes.
ENCODED_MAX_BYTES: Final = BLOCK_MAX_BYTES + 1
# zstd is used when it saves at least this share.
ENCODING_MIN_SAVING: Final = 0.05

# Manifests (wire). A segment ends after an entry chosen by content, within these bounds.
SEGMENT_MIN_BYTES: Final = 16 * KIB
SEGMENT_MAX_BYTES: Final = 256 * KIB
ROOT_MAX_BYTES: Final = MIB
MANIFEST_MAX_BYTES: Final = 1024 * MIB
MANIFEST_MAX_FILES: Final = 4_000_000
MANIFEST_MAX_BLOCKS: Final = 8_000_000
MANIFEST_MAX_SEGMENTS: Final = 16_384
DATASET_MAX_BYTES: Final = 1 << 42

# Log entries and signed records.
LOG_ENTRY_MAX_BYTES: Final = 64 * KIB
LOG_MAX_MOVES: Final = 64
MESSAGE_MAX_CHARS: Final = 1024
ENDORSEMENTS_MAX: Final = 8
RECORD_MAX_BYTES: Final = 16 * KIB
GRANT_MAX_RULES: Final = 64
GRANT_LIFETIME_S: Final = 7 * 86_400
GRANT_LIFETIME_MIN_S: Final = 600
CERTIFICATE_LIFETIME_S: Final = 30 * 86_400
SNAPSHOT_LIFETIME_S: Final = 3_600
TOKEN_MAX_CHARS: Final = 4096
SECRET_MAX_CHARS: Final = 512
PASSPHRASE_MAX_BYTES: Final = 4096
ADDRESSES_MAX: Final = 8
# A record signed this far in the future is still taken: clocks differ.
CLOCK_SKEW_S: Final = 300

# Successions of the swarm's CA keys, and the seals that a tracker may still give with a key that it does not know yet
# to be replaced: it reads the keys anew every minute, and a publisher's clock may be off by CLOCK_SKEW_S.
ROOT_PEM_MAX_BYTES: Final = 2 * KIB
SUCCESSION_MAX_BYTES: Final = 6 * KIB
SUCCESSIONS_MAX: Final = 16
SUCCESSION_SLACK_S: Final = 2 * CLOCK_SKEW_S
# Rosters: the online keys under a swarm's root (wire), and how many links a member is told in all: successions, the
# first roster and the latest. A term is a quarter of a year, so the keys last for 16 years; all but those whose
# certificates somebody may still need are about 60 bytes.
ONLINE_KEYS_MAX: Final = 64
ROSTER_MAX_BYTES: Final = 2 * SUCCESSION_MAX_BYTES - 256
LINKS_MAX: Final = SUCCESSIONS_MAX + 2
ONLINE_TERM_S: Final = 90 * 86_400
# What a member is told of rotations; of the DHT's secrets those that count, of which a packet's epoch tells 16 apart.
SECRETS_MAX: Final = 4
KEYRING_MAX_BYTES: Final = 256 * KIB
ROTATION_MAX_S: Final = 365 * 86_400

# Exchange.
RUN_MAX_BLOCKS: Final = 64
RUN_MAX_BYTES: Final = 8 * MIB
RUN_REQUEST_MAX_BYTES: Final = 16 * KIB
CHANNEL_MESSAGE_MAX_BYTES: Final = 2 * MIB
# What the channels of this program speak: 1, with neighbour exchange and heads 2, standing by 3, trackers' listings
# and orders 4, recalled and renewed grants 5, calls and takers 6, what is shown of manifests 7 (wire).
CHANNEL_HIGHEST: Final = 7
# Of a manifest, as encoded: a root or segment that goes over a channel, and how many are asked for together.
SHOWN_MAX_BYTES: Final = 32 * KIB
SHOWN_TOGETHER_MAX: Final = 4
ORDER_MAX_BYTES: Final = 2 * KIB
ORDERS_MAX: Final = 4096
NEIGHBOURS_TOLD_MAX: Final = 16
HEADS_TOLD_MAX: Final = 256
LOCATION_MAX_BYTES: Final = 2 * KIB
LOCATION_LIFETIME_S: Final = 4 * 3600
# What one link's peers say of themselves by multicast, each in one packet.
BEACON_MAX_BYTES: Final = 1400
NEIGHBOURS_MAX: Final = 32
# Runs received at a time: two from each of as many neighbours as there may be, and some.
RUNS_TAKEN_MAX: Final = 80
RUNS_SERVED_PER_PEER_MAX: Final = 4
RUNS_SERVED_MAX: Final = 256

# HTTP.
HEADER_DEADLINE_S: Final = 10.0
KEEPALIVE_S: Final = 75.0
# Connections of a listener that are not streams of runs; a TLS connection takes about 110 KiB. Half as many of one
# address, since a whole site may be behind one.
CONNECTIONS_MAX: Final = 2048
JSON_BODY_MAX_BYTES: Final = MIB
MISSING_MAX_SIGNATURES: Final = 8192
PAGE_MAX: Final = 1000
RANGES_MAX: Final = 16
RANGE_HEADER_MAX_CHARS: Final = 2000

# Log heads and tokens (wire where a number bounds a structure).
DATASET_MAX_TAGS: Final = 4096
SNAPSHOT_MAX_BYTES: Final = MIB
LOG_PAGE_MAX: Final = 100
# Entries of one log that are read for whoever looks at its end.
HISTORY_MAX: Final = 10_000
TOKEN_MAX_USES: Final = 1000
TOKEN_MAX_LIFETIME_S: Final = 365 * 86_400
PATTERNS_MAX: Final = 16

# Policy: rules of one version, its bytes in the store, and grants that are recalled at a time.
POLICY_RULES_MAX: Final = 2048
POLICY_MAX_BYTES: Final = 512 * KIB
RECALLS_MAX: Final = 16_384
RECALLS_MAX_BYTES: Final = MIB

# Tracker: soft state, handouts and lists.
ANNOUNCE_INTERVAL_S: Final = 30
ANNOUNCE_EXPIRES_INTERVALS: Final = 3
ANNOUNCE_MAX_BYTES: Final = 128 * KIB
ANNOUNCE_ANSWER_MAX_BYTES: Final = 8 * MIB
ANNOUNCE_MAX_VERSIONS: Final = 256
ANNOUNCE_MAX_HEADS: Final = 256
PRESENCE_MAX_PEERS: Final = 50_000
HANDOUT_MAX_NEIGHBOURS: Final = 30
# All handouts of one answer together.
ANSWER_MAX_NEIGHBOURS: Final = 2000
HANDOUT_MAX_SEEDS: Final = 4
BOOTSTRAP_MAX: Final = 20
WATCHERS_MAX: Final = 1024
TRACKERS_MAX: Final = 16
# Heads that one tracker tells another in one message, and how long its listing may be, which peers pass on.
HEADS_PUSHED_MAX: Final = 256
PUSH_MAX_BYTES: Final = 64 * KIB
LISTING_MAX_BYTES: Final = 8 * KIB
RECEIPT_LIFETIME_S: Final = 86_400

# DHT: packets and what is in them (wire). A batch's addresses are cut to fit; most peers have one or two.
DHT_PACKET_MAX_BYTES: Final = 1200
DHT_CREDENTIAL_MAX_BYTES: Final = 450
DHT_KEYS_PER_BATCH_MAX: Final = 40
DHT_BATCH_MAX_BYTES: Final = 500
DHT_BATCH_ADDRESSES_MAX_BYTES: Final = 300
DHT_CONTACTS_PER_ANSWER_MAX: Final = 16
DHT_RECORDS_PER_ANSWER_MAX: Final = 8
# Packets older or younger than this by the receiver's clock are dropped; younger ones are taken once.
DHT_PACKET_AGE_MAX_S: Final = 120
DHT_PACKETS_SEEN_MAX: Final = 131_072
# DHT: what a node keeps of others.
DHT_RECORD_LIFETIME_S: Final = 4 * 3600
DHT_PROVIDERS_PER_KEY_MAX: Final = 32
DHT_RECORDS_MAX_BYTES: Final = 32 * MIB
DHT_RECORDS_PER_PROVIDER_MAX_BYTES: Final = 16 * MIB
DHT_MEMBERS_MAX: Final = 16_384
DHT_SILENT_MAX: Final = 4096
DHT_SAVED_NODES_MAX: Final = 200
DHT_ANNOUNCED_MAX: Final = 65_536
# DHT: datagrams that wait, in and out.
DHT_RECEIVED_MAX: Final = 4096
DHT_SENDING_MAX: Final = 8192
