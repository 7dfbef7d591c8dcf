"""Build everything, start reading down, stop reading up."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from bridge.commands import Commands
from bridge.commit import Committer
from bridge.config import Settings, url_of
from bridge.model import Phase
from bridge.pipeline import Pipeline
from bridge.receiver.decode import Limits
from bridge.receiver.server import serving
from bridge.receiver.servicer import Servicer, Terms
from bridge.receiver.stream import Door
from bridge.sessions import Sessions
from bridge.sinks.archive import Archive
from bridge.storage.database import Database
from bridge.storage.folder import StateFolder, state_folder
from bridge.telemetry import Telemetry
from bridge.upkeep import upkeep

RESTORED_LIMIT = 2_000
