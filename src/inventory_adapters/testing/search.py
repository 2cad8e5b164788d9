"""Searches: words in the SKU, the name and the attributes of an item."""

import pytest

from inventory.ports import InventoryRepository, ItemFilter
from inventory_adapters.testing.examples import (
    an_edit,
    an_item,
    creation,
    delete_item,
    rewrite,
)
from inventory_adapters.testing.pagination import list_all

__all__ = ["SearchContract"]


class SearchContract:
    """A search finds the items whose texts contain every word; see `ItemFilter.words`."""

    @pytest.mark.parametrize(
        ("name", "search"),
        [
            ("Claw HAMMER", "hAMMER"),
            ("Stra\N{LATIN SMALL LETTER SHARP S}e", "STRASSE"),
            ("STRASSE", "stra\N{LATIN SMALL LETTER SHARP S}e"),
            ("\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}stanbul", "istanbul"),
            ("istanbul", "\N{LATIN CAPITAL LETTER I WITH DOT ABOVE}STANBUL"),
            ("Caf\N{LATIN SMALL LETTER E WITH ACUTE}", "CAFE"),
            ("Cafe", "cafe\N{COMBINING ACUTE ACCENT}"),
            ("of\N{LATIN SMALL LIGATURE FI}ce", "FFIC"),
            ("\N{FULLWIDTH LATIN CAPITAL LETTER A}4 \N{CIRCLED DIGIT ONE}", "a4 1"),
            ("\N{GREEK CAPITAL LETTER SIGMA}\N{GREEK SMALL LETTER FINAL SIGMA}", "\u03c3\u03c3"),
            ("\N{HANGUL SYLLABLE GAG}", "\N{HANGUL SYLLABLE GAG}"),
            ("ключ \N{GRINNING FACE}", "КЛЮЧ \N{GRINNING FACE}"),
            ("100% 'a\\_b*' [c]", "100% 'a\\_b*' [c]"),
        ],
    )
    def test_a_search_ignores_case_accents_and_compatible_characters(
        self, repository: InventoryRepository, name: str, search: str
    ) -> None:
        """The texts of the item and the words are compared folded."""
        item = an_item(name=name)
        repository.commit(creation(item, an_item("other", name="Plane", sku="other")))

        assert list_all(repository, ItemFilter(search=search)) == [item]

    @pytest.mark.parametrize("search", ["%", "_", "h_mmer", "h%r", "*", "h?mmer", "\\", "'", "[h]"])
    def test_no_character_of_a_search_is_a_wildcard(
        self, repository: InventoryRepository, search: str
    ) -> None:
        """Only an item with the character itself is found."""
        item = an_item("found", name=f"a {search} b")
        repository.commit(creation(an_item(), item))

        assert list_all(repository, ItemFilter(search=search)) == [item]

    @pytest.mark.parametrize(
        ("search", "is_found"),
        [
            ("claw hammer", True),
            ("  hammer\tclaw ", True),
            ("sku-1 claw 4006381333931", True),
            ("63813 law mm", True),
            ("ham ham", True),
            ("claw plane", False),
            ("clawhammer", False),
            ("sku-1claw", False),
            ("hammer4006381333931", False),
            ("hammermetal", False),
            ("4006381333931metal", False),
            ("barcode", False),
            ("tools", False),
            ("heavy", False),
            ("north", False),
            ("item-1", False),
        ],
    )
    def test_every_word_must_be_part_of_one_text(
        self, repository: InventoryRepository, search: str, *, is_found: bool
    ) -> None:
        """The words may be in several texts, but no word extends over two texts."""
        item = an_item(
            attributes={"barcode": "4006381333931", "material": "Metal"},
            description="heavy",
            location="north",
        )
        repository.commit(creation(item))

        for item_filter in (ItemFilter(search=search), ItemFilter(sku="SKU-1", search=search)):
            assert list_all(repository, item_filter) == ([item] if is_found else [])

    def test_a_search_finds_the_current_texts(self, repository: InventoryRepository) -> None:
        """Edits, commits and deletions change what is found; movements do not."""
        item = an_item(attributes={"size": "XL", "colour": "red"})
        repository.commit(creation(item))

        def found() -> list[str]:
            words = ("claw", "sledge", "plane", "xl", "red")
            return [word for word in words if list_all(repository, ItemFilter(search=word))]

        assert found() == ["claw", "xl", "red"]
        edited = repository.edit_item(an_edit(item, name="Sledge", attributes={"size": "XL"}))
        assert found() == ["sledge", "xl"]
        renamed = rewrite(edited, on_hand=5, name="Plane", version=3)
        repository.commit(renamed)
        assert found() == ["plane", "xl"]
        edited = repository.edit_item(an_edit(item, attributes={}))
        assert found() == ["plane"]
        repository.commit(rewrite(edited, on_hand=4))
        assert found() == ["plane"]
        delete_item(repository, item.key)
        assert found() == []
