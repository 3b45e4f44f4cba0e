"""Promises about searches: the filter language, order and pages."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from prompt_registry_plugin.errors import InvalidFilter
from prompt_registry_plugin.protocols import NewVersion
from prompt_registry_plugin.registry.registry import PromptRegistry
from prompt_registry_plugin.testing.stores.case import StoreCase


class SearchConformance(StoreCase):
    """Searches of prompts."""

    def test_search_knows_the_whole_grammar(self, opened: PromptRegistry) -> None:
        """Names, tags, aliases, times, words and archives, with AND, OR, NOT and parentheses."""
        opened.register_prompts(
            [
                NewVersion("telco/support", "Refund policy: {{q}}", tags={"use_case": "technical_support", "pct": "100%"}),
                NewVersion("telco/sales", "Sell the Größe-XL, don't wait", tags={"use_case": "sales"}),
                NewVersion("Bank_1", "old words", created_at=datetime(2020, 1, 1, tzinfo=UTC)),
                NewVersion("BankX1", [{"role": "user", "content": "message words"}]),
            ]
        )
        opened.register_prompt("Bank_1", "new words of a policy to refund")
        opened.set_prompt_tag("Bank_1", "it's", "a'b")
        opened.set_prompt_alias("Bank_1", "production", 1)

        def names(text: str) -> str:
            return " ".join(prompt.name for prompt in opened.search_prompts(text))

        everything = "BankX1 Bank_1 telco/sales telco/support"
        for text, expected in {
            "": everything,
            "name = 'Bank_1'": "Bank_1",
            "name != 'Bank_1'": "BankX1 telco/sales telco/support",
            "name LIKE 'telco%'": "telco/sales telco/support",
            "name LIKE 'TELCO%'": "",
            "name ILIKE 'TELCO%'": "telco/sales telco/support",
            "name LIKE 'Bank_1'": "BankX1 Bank_1",
            "name LIKE '%[%'": "",
            "name LIKE '*'": "",
            "tags.use_case = 'technical_support'": "telco/support",
            "tags.use_case != 'sales'": "BankX1 Bank_1 telco/support",
            "tags.use_case LIKE 's%'": "telco/sales",
            "tags.use_case ILIKE 'S%'": "telco/sales",
            "tags.pct = '100%'": "telco/support",
            "tags.`it's` = 'a''b'": "Bank_1",
            "alias = 'production'": "Bank_1",
            "alias != 'production'": "BankX1 telco/sales telco/support",
            "alias LIKE 'prod%' OR tags.use_case = 'sales'": "Bank_1 telco/sales",
            "NOT (alias = 'production') AND name ILIKE 'bank%'": "BankX1",
            "NOT name = 'Bank_1' AND NOT name = 'BankX1'": "telco/sales telco/support",
            "created_at < '2021-01-01'": "Bank_1",
            "created_at >= '2021-01-01'": "BankX1 telco/sales telco/support",
            "created_at = '2020-01-01T00:00:00+00:00'": "Bank_1",
            "created_at <= '2020-01-01T01:00:00+01:00'": "Bank_1",
            "text MATCH 'refund policy'": "Bank_1 telco/support",
            "text MATCH 'POLICY, refund!'": "Bank_1 telco/support",
            "text MATCH 'old'": "",
            "text MATCH 'größe'": "telco/sales",
            "text MATCH 'refunds'": "",
            "text MATCH 'words' AND NOT text MATCH 'new'": "BankX1",
            "text MATCH 'user'": "",
        }.items():
            assert names(text) == expected, text
        assert opened.search_prompts("name = 'Bank_1'")[0].aliases == {"production": 1}

    def test_order_and_pages(self, opened: PromptRegistry) -> None:
        """By any field in both directions; pages hold together though prompts come and go between them."""
        for i in (3, 1, 2, 5, 4):
            opened.register_prompts([NewVersion(f"p{i}", f"{n}") for n in range(i)])
        assert [p.name for p in opened.search_prompts(order_by=["name DESC"])] == ["p5", "p4", "p3", "p2", "p1"]
        assert [p.name for p in opened.search_prompts(order_by=["latest_version"])] == ["p1", "p2", "p3", "p4", "p5"]
        assert [p.name for p in opened.search_prompts(order_by=["created_at"])] == ["p3", "p1", "p2", "p5", "p4"]
        for order in (["name"], ["latest_version DESC"], ["created_at DESC", "name"], ["name DESC"]):
            whole = [p.name for p in opened.search_prompts(order_by=order)]
            paged, token = [], None
            while True:
                page = opened.search_prompts(order_by=order, max_results=2, page_token=token)
                paged += [p.name for p in page]
                token = page.token
                if token is None:
                    break
            assert paged == whole, order
        first = opened.search_prompts(max_results=2)
        opened.register_prompt("p0", "x")
        opened.delete_prompt("p3", confirm=True)
        assert [p.name for p in opened.search_prompts(max_results=9, page_token=first.token)] == ["p4", "p5"]
        for wrong in ("2", "", "nonsense", "W10="):
            if wrong:
                with pytest.raises(InvalidFilter, match="did not come from this search"):
                    opened.search_prompts(page_token=wrong)
        with pytest.raises(InvalidFilter, match="did not come from this search"):
            opened.search_prompts("name LIKE 'p%'", page_token=first.token)
