"""What a reconcile function is given: the object, why it is called, and the way to write."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, MutableMapping, Sequence
from typing import Any, Generic, Protocol, TypeVar

from aioinformers.checks import shown
from aioinformers.controllers.events import EVENTS, MOST_WORD, Recorder, Regarding
from aioinformers.controllers.memory import Write
from aioinformers.controllers.outcomes import Trigger
from aioinformers.controllers.schedule import Priority
from aioinformers.controllers.writes import (
    APPLY,
    JSON,
    JSON_PATCH,
    MERGE,
    Kind,
    Target,
    Writer,
    document_of,
    is_segment,
    merge_patch,
    note_sent,
)
from aioinformers.errors import ConflictError, InformerError, NotLeadingError, ResourceNotFoundError
from aioinformers.transport.guarded import guarded
from aioinformers.types import ObjectKey

__all__ = ["Request", "RequestHost", "RequestLog"]

T = TypeVar("T")

logger: logging.Logger = logging.getLogger("aioinformers.controllers")


class RequestLog(logging.LoggerAdapter[logging.Logger]):
    """Logs with the controller, the key and the attempt, in the text and as attributes of the record."""

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Put what is known before the message."""
        extra = dict(self.extra or {})
        kwargs["extra"] = {**extra, **(kwargs.get("extra") or {})}
        return f"{extra['controller']}: {extra['key']}: {msg}", kwargs


class RequestHost(Protocol):
    """What a request needs of its controller."""

    @property
    def name(self) -> str:
        """The controller's name."""

    @property
    def writer(self) -> Writer:
        """Sends what is written."""

    @property
    def api_client(self) -> Any:
        """The user's API client."""

    @property
    def recorder(self) -> Recorder:
        """Tells what becomes an Event."""

    @property
    def main(self) -> Kind:
        """The kind of the reconciled objects."""

    async def kind_of(self, document: Mapping[str, Any]) -> Kind:
        """Return the kind of a document, by its apiVersion and kind."""

    def is_owned(self, kind: Kind) -> bool:
        """Tell whether objects of a kind belong to the reconciled ones."""

    def sanitize(self, obj: object) -> Any:
        """Turn a model of the client into a document."""

    def time_left(self, key: ObjectKey, uid: str) -> float:
        """Return the seconds for which may be written; raises if nothing may be written any more."""

    def note(self, key: ObjectKey, write: Write, labels: Mapping[str, str]) -> None:
        """Remember a write."""


class Request(Generic[T]):
    """One call of a reconcile or cleanup function. Its writes may be made until the call ends.

    Attributes:
        object: The object as it is cached now; the caller's own.
        key: Its namespace and name.
        uid: Its uid.
        attempt: How many calls before this one have failed in a row.
        priority: How urgent it was.
        triggers: Why it is called: at most eight reasons.
        deadline: The loop's time at which the call is cancelled; None if it is not.
        is_stale: The cache does not show yet what the controller has written before, and it was waited for long enough.
    """

    __slots__ = (
        "_cached", "_client", "_host", "_is_over", "attempt", "deadline", "is_stale", "key", "object",
        "priority", "triggers", "uid",
    )  # fmt: skip

    def __init__(
        self,
        host: RequestHost,
        obj: T,
        document: Callable[[], Mapping[str, Any]],
        key: ObjectKey,
        uid: str,
        *,
        attempt: int = 0,
        priority: Priority = Priority.NORMAL,
        triggers: Sequence[Trigger] = (),
        deadline: float | None = None,
        is_stale: bool = False,
    ) -> None:
        self._host = host
        self._cached = document
        self._client: Any = None
        self._is_over = False
        self.object: T = obj
        self.key: ObjectKey = key
        self.uid: str = uid
        self.attempt: int = attempt
        self.priority: Priority = priority
        self.triggers: tuple[Trigger, ...] = tuple(triggers)
        self.deadline: float | None = deadline
        self.is_stale: bool = is_stale

    def __repr__(self) -> str:
        return f"<Request of {self._host.name} for {self.key}, attempt {self.attempt}>"

    @property
    def log(self) -> RequestLog:
        """Logs with the key and the attempt."""
        return RequestLog(logger, {"controller": self._host.name, "key": str(self.key), "attempt": self.attempt})

    # -- owners -----------------------------------------------------------------------------------------------

    def owner_reference(self) -> dict[str, Any]:
        """Return the reference that makes the object the owner that controls another one."""
        main = self._host.main
        return {
            "apiVersion": main.resource.api_version,
            "kind": main.kind,
            "name": self.key.name,
            "uid": self.uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }

    def _owned(self, document: dict[str, Any], target: Target) -> dict[str, Any]:
        """Return a document with the owner reference, which is there once."""
        place = f"{target.kind.kind} {target.key}"
        main = self._host.main
        if main.is_namespaced and not target.kind.is_namespaced:
            raise ValueError(
                f"{place} cannot be owned by {main.kind} {self.key}: what lives in no namespace has no owner that "
                f"does; give owner=False, and find it by a label and watches()"
            )
        if main.is_namespaced and target.key.namespace != self.key.namespace:
            raise ValueError(
                f"{place} cannot be owned by {main.kind} {self.key}: owners are in the same namespace; give "
                f"owner=False, and find it by a label and watches()"
            )
        metadata = dict(document["metadata"])
        others = [one for one in metadata.get("ownerReferences") or () if one.get("uid") != self.uid]
        if taken := next((one for one in others if one.get("controller")), None):
            raise ValueError(f"{place} is controlled by {taken.get('kind')} {taken.get('name')} already")
        metadata["ownerReferences"] = [*others, self.owner_reference()]
        return document | {"metadata": metadata}

    # -- writes -----------------------------------------------------------------------------------------------

    async def create(self, obj: object, *, owner: bool | None = None) -> dict[str, Any]:
        """Create an object. Without a namespace it is created in that of the reconciled object.

        Args:
            obj: A dict or a model, with apiVersion and kind.
            owner: Whether the reconciled object is to be its controlling owner; by default if the kind is one that the
                controller owns.

        Returns:
            The object as the server has it.

        Raises:
            ConflictError: If there is one of this name.
            ApiStatusError: If the server refuses it otherwise.
            NotLeadingError: If this process may not write any more.
            ValueError: If it cannot have the owner, or has another one, or no name.
        """
        document, target = await self._child(obj, owner, is_new=True)
        return await self._send("POST", target, document)

    async def apply(self, obj: object, *, owner: bool | None = None, force: bool = True) -> dict[str, Any]:
        """Apply an object (server-side apply): what it says becomes true, what it said before and says no more goes.

        Args:
            obj: A dict or a model, with apiVersion and kind; nothing but what is wanted.
            owner: As of :meth:`create`.
            force: Take over fields that others have set, instead of failing with a ``ConflictError``.

        Returns:
            The object as the server has it.

        Raises:
            As :meth:`create`.
        """
        document, target = await self._child(obj, owner)
        metadata = {
            name: value
            for name, value in document["metadata"].items()
            if name not in ("managedFields", "resourceVersion", "uid", "creationTimestamp", "generation")
        }
        query = {"force": "true" if force else "false"}
        return await self._send("PATCH", target, document | {"metadata": metadata}, content_type=APPLY, query=query)

    async def update(self, obj: object, *, subresource: str = "") -> dict[str, Any]:
        """Replace an object that was read before; fails with a ``ConflictError`` if somebody has changed it since.

        Args:
            obj: The changed object; dict or model, with its resourceVersion.
            subresource: ``status`` or ``scale``; empty for the object itself.

        Raises:
            ValueError: If it has no resourceVersion, without which others' changes would be lost.
            ApiStatusError: If the server refuses it.
            NotLeadingError: If this process may not write any more.
        """
        document, target = await self._document(obj)
        if not document["metadata"].get("resourceVersion"):
            raise ValueError(
                f"{target.kind.kind} {target.key} has no resourceVersion: update what was read, or apply it"
            )
        return await self._send("PUT", target, document, subresource=subresource)

    async def patch(
        self, patch: Mapping[str, Any] | Sequence[Mapping[str, Any]], obj: object = None, *, subresource: str = ""
    ) -> dict[str, Any]:
        """Change some fields of an object.

        Args:
            patch: A merge patch (a dict of what is to be different, None removes) or a JSON patch (a list of steps).
            obj: The object that is changed; the reconciled one by default. It is named by its kind and name.
            subresource: ``status`` or ``scale``; empty for the object itself.

        Raises:
            ApiStatusError: If the server refuses it.
            NotLeadingError: If this process may not write any more.
            TypeError: If the patch is neither.
        """
        target = self._self if obj is None else (await self._document(obj))[1]
        is_steps = isinstance(patch, Sequence) and not isinstance(patch, str | bytes)
        if not is_steps and not isinstance(patch, Mapping):
            raise TypeError(f"a patch is a dict, or a list of steps, not {shown(patch)}")
        content_type = JSON_PATCH if is_steps else MERGE
        return await self._send("PATCH", target, patch, content_type=content_type, subresource=subresource)

    async def patch_status(self, status: Mapping[str, Any]) -> dict[str, Any] | None:
        """Make the status of the reconciled object say something; fields that are not named stay as they are.

        Nothing is sent where it says so already. What it says is that of the cache, so that two calls in one run send
        two patches.

        Args:
            status: What it is to say; None as a value removes a field.

        Returns:
            The object as the server has it; None if there was nothing to send.

        Raises:
            ApiStatusError: If the server refuses it.
            NotLeadingError: If this process may not write any more.
        """
        if not isinstance(status, Mapping):
            raise TypeError(f"a status is a dict of its fields, not {shown(status)}")
        before = self._cached().get("status") or {}
        wanted = _merged(before, status)
        if not (difference := merge_patch(before, wanted)):
            return None
        return await self._send("PATCH", self._self, {"status": difference}, content_type=MERGE, subresource="status")

    async def delete(self, obj: object, *, propagation: str = "Background") -> None:
        """Delete an object; nothing happens if it is gone already, or another one of this name is there.

        Args:
            obj: A dict or a model with its kind, name and uid, as it was read.
            propagation: What becomes of what it owns: ``Background``, ``Foreground`` or ``Orphan``.

        Raises:
            ApiStatusError: If the server refuses it.
            NotLeadingError: If this process may not write any more.
        """
        document, target = await self._document(obj)
        options: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions", "propagationPolicy": propagation}
        if uid := document["metadata"].get("uid"):
            options["preconditions"] = {"uid": uid}
        try:
            await self._send("DELETE", target, options)
        except (ResourceNotFoundError, ConflictError):
            self.log.debug("%s %s is gone already", target.kind.kind, target.key)

    async def event(self, type: str, reason: str, note: str, *, action: str = "Reconcile") -> None:  # noqa: A002
        """Write an Event about the object, as ``kubectl describe`` shows it.

        The same again within six minutes is counted in a series, and about one object nothing is written more than once
        a second. An Event that cannot be written is logged, and fails nothing.

        Args:
            type: ``Normal`` or ``Warning``.
            reason: Why, in one word for programs: ``Deployed``.
            note: A sentence for people; of long ones the first 1,024 bytes are taken.
            action: What was done, in a word.

        Raises:
            ValueError: If the type is another text, or a word is empty or longer than 128 bytes.
            NotLeadingError: If this process may not write any more.
        """
        if type not in ("Normal", "Warning"):
            raise ValueError(f"the type of an Event is Normal or Warning, not {shown(type)}")
        words: dict[str, Any] = {"reason": reason, "action": action, "note": note}
        for what, text in words.items():
            if not isinstance(text, str) or not text:
                raise ValueError(f"the {what} of an Event is a text, not {shown(text)}")
            if what != "note" and len(text.encode()) > MOST_WORD:
                raise ValueError(f"the {what} of an Event has at most {MOST_WORD} bytes, unlike {shown(text)}")
        main = self._host.main
        about = Regarding(main.resource.api_version, main.kind, self.key.namespace, self.key.name, self.uid)
        told = self._host.recorder.note(about, type, reason, note, action, asyncio.get_running_loop().time())
        if told is None:
            return
        method, namespace, name, body = told
        target = Target(Kind(EVENTS, "Event", is_namespaced=True), ObjectKey(namespace, name))
        try:
            await self._send(method, target, body, content_type=MERGE if method == "PATCH" else JSON)
        except NotLeadingError:
            raise
        except InformerError as error:
            self._host.recorder.forget(name)
            self.log.warning("an Event could not be written: %s", error)

    @property
    def client(self) -> Any:
        """A copy of the main informer's API client, for the client's typed APIs: ``AppsV1Api(request.client)``.

        What is written with it is fenced, remembered and limited in time like the request's own writes; a write that
        may not be made raises :exc:`NotLeadingError`. Reads pass through, and so do the connections of ``exec``. It
        shares the connections and credentials of the client that it is a copy of; to close it does nothing.
        """
        if self._client is None:
            self._client = guarded(self._host.api_client, self._time_left, lambda sent: note_sent(sent, self._note))
        return self._client

    def close(self) -> None:
        """Allow no further write: the call has ended, and another one may be about the same object."""
        self._is_over = True

    # -- how --------------------------------------------------------------------------------------------------

    @property
    def _self(self) -> Target:
        return Target(self._host.main, self.key, self.uid)

    async def _document(self, obj: object, *, is_new: bool = False) -> tuple[dict[str, Any], Target]:
        """Return an object as a document, and what it is; one that is new may leave its name to the server."""
        document = document_of(obj, self._host.sanitize)
        metadata = document.get("metadata")
        if not isinstance(metadata, Mapping) or not (metadata.get("name") or (is_new and metadata.get("generateName"))):
            raise ValueError(f"{shown(obj)} has no metadata.name")
        kind = await self._host.kind_of(document)
        namespace = (metadata.get("namespace") or self.key.namespace) if kind.is_namespaced else ""
        key = ObjectKey(namespace, metadata.get("name") or "")
        for what, part in (("name", key.name), ("namespace", key.namespace)):
            if not is_segment(part):
                raise ValueError(f"{shown(part)} cannot be the {what} of a {kind.kind}")
        metadata = {**metadata, "namespace": namespace} if namespace else dict(metadata)
        return document | {"metadata": metadata}, Target(kind, key, metadata.get("uid") or "")

    async def _child(self, obj: object, owner: bool | None, *, is_new: bool = False) -> tuple[dict[str, Any], Target]:
        document, target = await self._document(obj, is_new=is_new)
        if owner is None:
            owner = self._host.is_owned(target.kind)
        return (self._owned(document, target) if owner else document), target

    async def _send(self, method: str, target: Target, body: object, **options: Any) -> dict[str, Any]:
        return await self._host.writer.send(method, target, body, time_left=self._time_left, note=self._note, **options)

    def _time_left(self) -> float:
        """Return the seconds for which may be written."""
        if self._is_over:
            raise RuntimeError(
                f"{self._host.name}: {self.key}: the call that this request was made for has ended, and so have its "
                f"writes: await what writes before the function returns"
            )
        seconds = self._host.time_left(self.key, self.uid)
        if self.deadline is not None:
            seconds = min(seconds, max(0.0, self.deadline - asyncio.get_running_loop().time()))
        return seconds

    def _note(self, write: Write, labels: Mapping[str, str]) -> None:
        self._host.note(self.key, write, labels)


def _merged(before: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Return a document after a merge patch."""
    made = dict(before)
    for name, value in patch.items():
        if value is None:
            made.pop(name, None)
        elif isinstance(value, Mapping):
            old = made.get(name)
            made[name] = _merged(old if isinstance(old, Mapping) else {}, value)
        else:
            made[name] = value
    return made
