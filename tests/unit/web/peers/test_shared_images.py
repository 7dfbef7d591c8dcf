"""Images wherever they lie: each bridge shows those on another one's disk, and says so where it cannot."""

import asyncio
from dataclasses import replace

import pytest
from support.access import EACH_ROLE, asking_for
from support.jpegs import jpeg
from support.peers import FakePeers, sharing

from bridge.errors import ImageAwayError, ImageLostError, NotFoundError, StorageError
from bridge.storage.index import ImageLocation
from bridge.web.dependencies import DEPENDENCIES
from bridge.web.peers.connections import PeerConnections
from bridge.web.peers.sharing import Peer

SECRET = b"secret of the database"
PICTURE = jpeg(16, 16, 90)
KEY = "run/2023-11-14/1700000000000-a1-0123abcd-000001.tar"
THERE = ImageLocation(KEY, stored=False, offset=512, length=len(PICTURE), bridge_id="there")


class Disk:
    """What one bridge has in its spool, and what all of them have in the store."""

    def __init__(self, stored):
        """Start with an empty spool."""
        self.spooled = {}
        self.stored = stored
        self.asked = []

    def read_spooled(self, location):
        """Return an image of the spool."""
        self.asked.append(location)
        if location.key not in self.spooled:
            raise NotFoundError("not in the spool")
        return self.spooled[location.key]

    def read(self, location):
        """Return an image of the spool or the store."""
        if not location.stored and location.key in self.spooled:
            return self.read_spooled(location)
        if isinstance(self.stored.get(location.key), Exception):
            raise self.stored[location.key]
        if location.key not in self.stored:
            raise NotFoundError("not in the store")
        return self.stored[location.key]


@pytest.fixture
async def bridges(open_client):
    """Return two bridges on one database and one store, by name."""
    known, store = [], {}
    found = {}
    for name in ("here", "there"):
        disk = Disk(store)
        client = await open_client(
            peers=FakePeers(name, SECRET, known=known),
            peer_connections=PeerConnections(SECRET),
            read_image=disk.read,
            read_spooled=disk.read_spooled,
        )
        client.disk = disk
        known.append(sharing(Peer(name, str(client.make_url("/")).rstrip("/"))))
        found[name] = client
    found["here"].known = known
    return found


async def read(client, location):
    """Read an image as pages do, in a thread."""
    return await asyncio.to_thread(client.app[DEPENDENCIES].read_image, location)


async def test_an_image_on_another_bridges_disk_is_read_from_there(bridges):
    """It is the same bytes; what lies here, or in the store, is read without asking anybody."""
    here, there = bridges["here"], bridges["there"]
    there.disk.spooled[KEY] = PICTURE
    assert await read(here, THERE) == PICTURE
    assert [(one.key, one.offset, one.length) for one in there.disk.asked] == [
        (KEY, 512, len(PICTURE))
    ]
    there.disk.asked.clear()
    here.disk.spooled["own/x.tar"] = PICTURE
    here.disk.stored["stored/x.tar"] = PICTURE
    for own in ("here", ""):
        assert await read(here, replace(THERE, key="own/x.tar", bridge_id=own)) == PICTURE
    assert await read(here, replace(THERE, key="stored/x.tar", stored=True)) == PICTURE
    assert there.disk.asked == []


async def test_what_was_uploaded_meanwhile_is_read_from_the_store(bridges):
    """Whether the other bridge says that it has it no more, or does not answer any more."""
    here = bridges["here"]
    here.disk.stored[KEY] = PICTURE
    assert await read(here, THERE) == PICTURE
    await bridges["there"].close()
    assert await read(here, THERE) == PICTURE


async def test_a_bridge_that_does_not_answer_is_named(bridges):
    """Dead, or unknown to the database; with a store that does not answer either, that is what it says."""
    here = bridges["here"]
    await bridges["there"].close()
    for who in ("there", "nobody"):
        with pytest.raises(ImageAwayError, match=f"on bridge {who}, which does not answer"):
            await read(here, replace(THERE, bridge_id=who))
    here.known[:] = [replace(one, is_alive=False) for one in here.known]
    with pytest.raises(ImageAwayError):
        await read(here, THERE)
    here.disk.stored[KEY] = StorageError("down")
    with pytest.raises(StorageError, match="down"):
        await read(here, THERE)


async def test_a_lost_image_is_looked_for_nowhere(bridges):
    """Its bridge is gone: nobody waits for it."""
    with pytest.raises(ImageLostError, match="bridge there, which is gone"):
        await read(bridges["here"], replace(THERE, lost=True))
    assert bridges["there"].disk.asked == []


async def test_what_is_not_the_image_of_the_index_is_not_shown(bridges):
    """Another bridge may answer anything."""
    here, there = bridges["here"], bridges["there"]
    for wrong in (PICTURE[:-1], b"x" * len(PICTURE)):
        there.disk.spooled[KEY] = wrong
        with pytest.raises(NotFoundError):
            await read(here, THERE)


@pytest.mark.parametrize(
    ("query", "status"),
    [("offset=1", 403), ("offset=512&length=100", 403)],
)
async def test_nobody_but_bridges_is_served(bridges, query, status):
    """Whatever somebody asks for."""
    there = bridges["there"]
    there.disk.spooled[KEY] = PICTURE
    response = await there.get(f"/internal/v1/shards/{KEY}?{query}")
    assert response.status == status
    assert there.disk.asked == []


async def test_no_role_makes_somebody_a_bridge(open_client, tmp_path):
    """Not with all of them."""
    client = await open_client(authentication=asking_for(tmp_path / "tokens.yaml", EACH_ROLE))
    for one in EACH_ROLE:
        response = await client.get(f"/internal/v1/shards/{KEY}?length=1", headers=one.headers)
        assert response.status == 403


@pytest.mark.parametrize(
    ("target", "error"),
    [
        (f"{KEY}?offset=512", StorageError),
        (f"{KEY}?offset=512&length=8388609", StorageError),
        (f"{KEY}?offset=-1&length=5", StorageError),
        ("..%2F..%2Fetc%2Fpasswd?offset=0&length=5", NotFoundError),
        ("no-shard?offset=0&length=5", NotFoundError),
    ],
)
async def test_a_bridge_asks_for_images_of_shards_alone(bridges, target, error):
    """Anything else is refused, before a disk is touched."""
    here, there = bridges["here"], bridges["there"]
    [peer] = [one.peer for one in here.known if one.peer.bridge_id == "there"]
    with pytest.raises(error):
        await here.app[DEPENDENCIES].peer_connections.fetch(
            peer, f"/internal/v1/shards/{target}", name="bridge here"
        )
    assert there.disk.asked == []
