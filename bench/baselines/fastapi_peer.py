"""
A CRUD service with FastAPI and SQLModel on SQLite, in the style of their tutorials.

Source: FastAPI, "SQL (relational) databases"; SQLModel, "FastAPI and Pydantic".
Run as ``uvicorn bench.baselines.fastapi_peer:app``.
"""

import os
import uuid
from collections.abc import Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Query
from sqlmodel import Field, Session, SQLModel, create_engine, select

engine = create_engine(
    f"sqlite:///{os.environ.get('PEER_DATABASE', 'peer.db')}",
    connect_args={"check_same_thread": False},
)


class ItemBase(SQLModel):
    """The fields of an item."""

    sku: str = Field(index=True, min_length=1, max_length=128)
    name: str = Field(min_length=1, max_length=256)
    description: str = Field(default="", max_length=4096)
    quantity: int = Field(default=0, ge=0)
    price: Decimal = Field(default=0, ge=0, max_digits=15, decimal_places=4)
    category: str = Field(index=True, min_length=1, max_length=128)
    status: str = "available"


class Item(ItemBase, table=True):
    """A row."""

    item_id: uuid.UUID = Field(default_factory=uuid.uuid4, primary_key=True)
    created_at: datetime = Field(default_factory=lambda: datetime.now(UTC))
    updated_at: datetime = Field(default_factory=lambda: datetime.now(UTC))


class ItemCreate(ItemBase):
    """The request body."""


class ItemPublic(ItemBase):
    """The response body."""

    item_id: uuid.UUID
    created_at: datetime
    updated_at: datetime


def get_session() -> Iterator[Session]:
    """Yield the session of one request."""
    with Session(engine) as session:
        yield session


SessionDep = Annotated[Session, Depends(get_session)]


@asynccontextmanager
async def lifespan(_: FastAPI):
    """Create the tables before the first request."""
    SQLModel.metadata.create_all(engine)
    yield


app = FastAPI(lifespan=lifespan)


@app.post("/items", response_model=ItemPublic, status_code=201)
def create_item(item: ItemCreate, session: SessionDep):
    """Create an item."""
    row = Item.model_validate(item)
    session.add(row)
    session.commit()
    session.refresh(row)
    return row


@app.get("/items", response_model=list[ItemPublic])
def list_items(session: SessionDep, offset: int = 0, limit: Annotated[int, Query(le=100)] = 20):
    """List items."""
    return session.exec(select(Item).offset(offset).limit(limit)).all()


@app.get("/items/{item_id}", response_model=ItemPublic)
def get_item(item_id: uuid.UUID, session: SessionDep):
    """Return an item."""
    row = session.get(Item, item_id)
    if row is None:
        raise HTTPException(status_code=404, detail="Item not found")
    return row
