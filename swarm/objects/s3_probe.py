"""Opens a store on S3 after a look at what the server really honours, for servers differ in what they silently ignore.

    put-if-absent    the second write is refused, and of racing ones all but one: what the whole swarm agrees by
    checksums        a body that changed on the way is refused
    encryption       what was asked for is what the object then says of itself; in the clear only when told to
    ranges, lists    a range is that range; what was written is listed, in which order (see ``S3ObjectStore``)

A server without one of them is refused. The look takes some thirty small requests, below ``probes/``, and leaves
nothing there.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final

from botocore.exceptions import ClientError

from swarm.errors import AetherError, NotAllowedError, NotFoundError, UsageError
from swarm.objects.meter import Meter
from swarm.objects.probes import PROBES, is_abandoned, new_folder
from swarm.objects.s3 import S3ObjectStore
from swarm.objects.s3_address import S3Address
from swarm.objects.s3_client import Clients
from swarm.objects.s3_failures import FOREIGN, code_of, failure, status_of

RACERS: Final = 2
# In the order of S3, and in another one where a list goes through folders.
KEYS: Final = ("a", "a-b", "a/b")
DATA: Final = b"a look at what this server honours"
PLAIN: Final[Mapping[str, str]] = {}
DEFAULT_ENCRYPTION: Final = "AES256"

Make = Callable[..., S3ObjectStore]

log = logging.getLogger("aetherfs.objects")


def open_s3(address: S3Address) -> S3ObjectStore:
    """The store, over a server that was found fit. UsageError for one that is not, and others for what failed."""
    meter = Meter()
    clients = Clients(address, meter)
    try:
        return _found_fit(clients, meter, address)
    except BaseException:
        clients.close()
        raise


def _found_fit(clients: Clients, meter: Meter, address: S3Address) -> S3ObjectStore:
    make = partial(S3ObjectStore, clients, meter, address)
    first = make(encryption=PLAIN, is_ordered=False)
    _check_bucket(first)
    with _folder(first) as folder:
        encryption = _encryption(make, address, folder)
        store = make(encryption=encryption, is_ordered=False)
        _check_put_if_absent(store, folder)
        _check_checksums(store, folder + KEYS[2])
        store.put(folder + KEYS[2], DATA)
        _check_reading(store, folder)
        return make(encryption=encryption, is_ordered=_is_ordered(store, folder), is_open=True)


@contextlib.contextmanager
def _folder(store: S3ObjectStore) -> Iterator[str]:
    """A folder of keys for one look, gone afterwards, with what starts that were killed left behind."""
    folder = new_folder(time.time())
    try:
        yield folder
    finally:
        try:
            for key in store.list(PROBES):
                if key.startswith(folder) or is_abandoned(key, time.time()):
                    store.delete(key)
        except AetherError as error:
            log.warning("objects are left below %s%s: %s", store.address, PROBES, error)


def _check_bucket(store: S3ObjectStore) -> None:
    """It is there, and may be listed."""
    try:
        store.list(f"{PROBES}none")
    except AetherError as error:
        if code_of(error.__cause__) == "NoSuchBucket":
            raise NotFoundError(f"there is no bucket for {store.address}: make it, or correct --store") from error
        raise


def _encryption(make: Make, address: S3Address, folder: str) -> Mapping[str, str]:
    """The arguments by which a write is encrypted as the address wants it."""
    if address.encryption == "none":
        return PLAIN
    if address.encryption == "auto":
        with contextlib.suppress(NotAllowedError):  # A bucket's policy may demand that each write asks for it.
            if _lies_encrypted(make, address, PLAIN, folder + "plain"):
                return PLAIN
    wanted = address.encryption if address.encryption != "auto" else DEFAULT_ENCRYPTION
    arguments = {"ServerSideEncryption": wanted}
    if address.kms_key:
        arguments["SSEKMSKeyId"] = address.kms_key
    if _lies_encrypted(make, address, arguments, folder + "encrypted") != wanted:
        raise _in_the_clear(address, wanted, "it does not say of the object that it is")
    return arguments


def _lies_encrypted(make: Make, address: S3Address, arguments: Mapping[str, str], key: str) -> str:
    """Write an object so; how it then says to be encrypted, empty for not."""
    store = make(encryption=arguments, is_ordered=False)
    written = store.write_arguments(key, DATA)
    try:
        store.calls(f"cannot write to {address}", lambda: store.client.put_object(**written), tries=2)
    except AetherError as error:
        # A right that is missing and a server that does not answer say nothing of encryption.
        if not arguments or isinstance(error, NotAllowedError) or not status_of(error.__cause__):
            raise
        raise _in_the_clear(address, arguments["ServerSideEncryption"], str(error)) from error
    place = {"Bucket": address.bucket, "Key": address.prefix + key}
    found = store.calls(f"cannot read from {address}", lambda: store.client.head_object(**place))
    key_found, key_wanted = str(found.get("SSEKMSKeyId", "")), address.kms_key.rpartition("/")[2]
    if arguments and "alias/" not in address.kms_key and not key_found.endswith(key_wanted):
        raise UsageError(f"{address} encrypts with key {key_found or 'of its own'}: correct sse-kms-key-id")
    return str(found.get("ServerSideEncryption", ""))


def _in_the_clear(address: S3Address, wanted: str, why: str) -> UsageError:
    return UsageError(
        f"{address} does not encrypt objects with {wanted} ({why}): give the server a key, "
        "or add sse=none to the store's address to let them lie in the clear"
    )


def _check_put_if_absent(store: S3ObjectStore, folder: str) -> None:
    """Refused the second time, and in a race all but one."""
    try:
        is_first = store.put_if_absent(folder + KEYS[0], DATA)
    except AetherError as error:
        # The same write without the condition has been taken.
        if status_of(error.__cause__) in (400, 405, 501):
            raise _unfit(store, f"does not take If-None-Match: * ({code_of(error.__cause__)})") from error
        raise
    if not is_first or store.put_if_absent(folder + KEYS[0], DATA):
        raise _unfit(store, "does not honour If-None-Match: * on a second write")
    together = threading.Barrier(RACERS)

    def race(_: int) -> bool:
        together.wait()
        return store.put_if_absent(folder + KEYS[1], DATA)

    with ThreadPoolExecutor(RACERS) as pool:
        won = sum(pool.map(race, range(RACERS)))
    if won != 1:
        raise _unfit(store, f"lets {won} of {RACERS} racing writes with If-None-Match: * win")


def _check_checksums(store: S3ObjectStore, key: str) -> None:
    """A body of which one bit changes behind the signature and the checksum is refused."""
    events = store.client.meta.events

    def change(request: Any, **_: Any) -> None:
        request.body = bytes([DATA[0] ^ 1]) + DATA[1:]

    events.register_first("before-send.s3.PutObject", change)
    try:
        store.client.put_object(**store.write_arguments(key, DATA))
    except ClientError as error:
        if status_of(error) >= 500:
            raise failure(f"cannot write to {store.address}", error) from error
    except FOREIGN as error:
        raise failure(f"cannot write to {store.address}", error) from error
    else:
        raise _unfit(store, "accepts bytes that do not have the SHA-256 sent with them")
    finally:
        events.unregister("before-send.s3.PutObject", change)


def _check_reading(store: S3ObjectStore, folder: str) -> None:
    """What was written is what is read, whole and in part, and what was not is not there."""
    if store.get(folder + KEYS[2]) != DATA or store.get_range(folder + KEYS[2], 2, 5) != DATA[2:7]:
        raise _unfit(store, "does not give back what was written")
    try:
        store.get(folder + "none")
    except NotFoundError:
        return
    raise _unfit(store, "gives an object that nobody wrote")


def _is_ordered(store: S3ObjectStore, folder: str) -> bool:
    """Whether lists are in the order of S3."""
    place = {"Bucket": store.address.bucket, "Prefix": store.address.prefix + folder + KEYS[0]}
    page = store.calls(f"cannot list {store.address}", lambda: store.client.list_objects_v2(**place))
    found = tuple(entry["Key"].removeprefix(store.address.prefix + folder) for entry in page.get("Contents", []))
    if sorted(found) != sorted(KEYS):
        raise _unfit(store, "does not list what was written a moment ago")
    return found == KEYS


def _unfit(store: S3ObjectStore, why: str) -> UsageError:
    return UsageError(f"{store.address} cannot be the object store of a swarm: it {why}; choose another server")
