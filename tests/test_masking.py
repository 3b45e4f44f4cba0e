"""Masking: credentials by their form, ordinary words never; what was masked is used for nothing in silence."""

from __future__ import annotations

import logging
import random
import string

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import prompt_registry_plugin as pr
from prompt_registry_plugin.masking import Masker, has_mask, mask_secrets
from prompt_registry_plugin.masking.forms import MARK

_RANDOM = random.Random(1)
_HEX = "0123456789abcdef"


def _some(length: int, alphabet: str = string.ascii_letters + string.digits) -> str:
    return "".join(_RANDOM.choice(alphabet) for _ in range(length))


# Made up, each in the form of its issuer.
CREDENTIALS = [
    "ghp_" + _some(36),
    "gho_" + _some(36),
    "github_pat_" + _some(22) + "_" + _some(59),
    "glpat-" + _some(20),
    "xoxb-123456789012-1234567890123-" + _some(24),
    "https://hooks.slack.com/services/T00000000/B00000000/" + _some(24),
    "AKIAIOSFODNN7EXAMPLE",
    "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    "AIza" + _some(35),
    "DefaultEndpointsProtocol=https;AccountName=foo;AccountKey=" + _some(86) + "==;EndpointSuffix=core.windows.net",
    "https://a.blob.core.windows.net/c/f?sv=2020-08-04&se=2021&sr=b&sp=r&sig=abc%2Bdefghijkl%3D",
    "https://x.net/f?sig=Zm9vYmFyYmF6cXV4",
    "sk_live_" + _some(24),
    "sk_test_" + _some(24),
    "rk_live_" + _some(24),
    "SG." + _some(22) + "." + _some(43),
    "MTk4NjIyNDgzNDcxOTI1MjQ4." + _some(6) + "." + _some(38),
    "npm_" + _some(36),
    "pypi-AgEIcHlwaS5vcmc" + _some(60),
    "GOCSPX-" + _some(28),
    "whsec_" + _some(32),
    "gsk_" + _some(52),
    "xai-" + _some(80),
    "lsv2_pt_" + _some(32, _HEX) + "_" + _some(10, _HEX),
    "tvly-" + _some(32),
    "pcsk_" + _some(6) + "_" + _some(60),
    "dapi" + _some(32, _HEX),
    "123456789:AA" + _some(33),
    "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
    "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA7b\nabcdefgh\n-----END RSA PRIVATE KEY-----",
    "-----BEGIN OPENSSH PRIVATE KEY-----\\nb3BlbnNzaC1rZXktdjEAAAAA\\n-----END OPENSSH PRIVATE KEY-----",
    "Cookie: session=abc123def; theme=dark",
    "Set-Cookie: sid=s3cr3tvalue; HttpOnly",
    "Authorization: Bearer abc.def-ghi123",
    "Authorization: Basic dXNlcjpwYXNzd29yZA==",
    "Authorization: " + _some(40),
    "Basic YWxhZGRpbjpvcGVuc2VzYW1l",
    "DISCORD_TOKEN=" + _some(24),
    "MY_SECRET=swordfish99",
    "PASSWORD=swordfish",
    "DB_PASSWORD='correct horse'",
    "OPENAI_API_KEY=" + _some(32, _HEX),
    'export FOO_KEY="' + _some(20) + '"',
    "HF_TOKEN=mytoken12345",
    "postgres://u:hunter2@h/db",
    "https://user:s3cret@proxy.example.com/v1",
    "https://ghp_abcdefghij0123456789ab@github.com/x",
    "postgresql://u:p@ss/wor@h/db",
    "redis://:pw@h:1",
    "sk-proj-" + _some(40) + "_" + _some(20),
    "sk-ant-api03-" + _some(90),
    "sk-or-v1-" + _some(64, _HEX),
    "sk-" + _some(48),
    "hf_" + _some(34),
    '{"password": "correct horse", "x": 1}',
    '{"api_key": "abcd1234"}',
    '{"clientSecret": "abcdEFGH1234"}',
    '{\\"password\\": \\"hunter2\\"}',
    "host=h user=u password=hunter2 dbname=d",
    "host=h password='it is' dbname=d",
    "x-api-key: " + _some(20),
    "Bearer abcdefghijk",
    "Password: hunter2",
    "sk-lf-12345678-1234-1234-1234-123456789012",
    "postgresql://h/db?password=hunter2x",
    "postgresql:///db?user=u&password=hunterxx",
    "password=hunter2hunter2",
]

ORDINARY = """\
a basic checking account
sk-learn-pipelines are useful and scikit sk-learn-0.24-compatible-estimators
token: {{token}}
api_key: ${API_KEY}
password: <your password>
Authorization: Bearer {token}
Authorization: Bearer token required
The bearer certificates were stolen; a bearer instrument
basic authentication is not supported
Basic understanding of Python3 is required
max_tokens: 500 and tokens are counted
skip-connection-in-resnet-models
the key to success is patience
The secret: always be kind to customers
secret = never give up
Cookie: a small sweet biscuit
Password: must contain at least 8 characters
password=required
The token: gpt-4o counts tokens
def f(token=None, password=password, api_key=os.environ["X"]):
client = OpenAI(api_key=settings.key)
http://localhost:8000/users/@me
mail ann@example.org at 10:30
PRIMARY_KEY=customer_id
EOS_TOKEN=endoftext
xai-explainability-methods-survey
npm_config_registry
pypi-server-installation-guide
hf_hub_download_with_progress
A key file starts with -----BEGIN PRIVATE KEY----- and ends with -----END PRIVATE KEY-----.
token-based authentication, task-oriented, risk-assessment-and-mitigation-strategies
Your password: it expires in 30 days
password reset: click the link
pk_customer_orders_constraint
{"properties": {"password": {"type": "string"}}}
"token": "word", "next_token": "the"
secret santa: Tuesday2pm
What is a JWT like eyJ...?
access token: a short string
credentials: Master of Science
API key: see the settings page
the api_key parameter = the key of your account
Set OPENAI_API_KEY=sk-... first
export OPENAI_API_KEY=your-key-here
SECRET_KEY=changeme
Public key: RSA4096
the SK-II brand; AC-130 gunship
The secret is 42; password is swordfish
basic arithmetic/geometry
""".splitlines()


@pytest.mark.parametrize("credential", CREDENTIALS, ids=range(len(CREDENTIALS)))
def test_a_credential_is_masked_in_its_form(credential: str) -> None:
    """With a mark in its place; the text around it stays, and masking again changes nothing."""
    masked = mask_secrets(f"before {credential} after")
    assert masked.startswith("before ")
    assert masked.endswith(" after")
    assert MARK in masked
    assert mask_secrets(masked) == masked


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_words_are_not_masked(text: str) -> None:
    """Words that credentials are introduced by, placeholders for them, code, and names that begin like a token."""
    assert mask_secrets(text) == text


_WORDS = st.sampled_from(
    "a the is basic bearer token tokens key secret password cookie credentials authorization of account checking sk-learn task: "
    "password: token: secret: api_key: Basic Bearer Cookie: max_tokens=500 {{token}} {password} <key> token={{token}} the-key-of-all "
    "api key= = : - required optional forgotten 2024-01-01 42 gpt-4o utf-8 "
    "https://example.org/a?b=c ann@example.org xai- hf_hub".split()
)


@given(st.lists(_WORDS, max_size=30).map(" ".join))
@settings(max_examples=400)
def test_masking_never_changes_a_text_without_a_credential(text: str) -> None:
    """Whatever words stand beside one another."""
    assert mask_secrets(text) == text


@given(st.lists(st.one_of(_WORDS, st.sampled_from(CREDENTIALS), st.text(max_size=8)), max_size=8).map(" ".join))
@settings(max_examples=300)
def test_masking_twice_is_masking_once(text: str) -> None:
    """Also with credentials side by side."""
    masked = mask_secrets(text)
    assert mask_secrets(masked) == masked


def test_the_schema_of_a_password_is_no_password() -> None:
    """Tools have parameters of such names; values are masked, placeholders and schemas are not."""
    schema = {"properties": {"password": {"type": "string", "description": "of the user"}, "token": "word", "api_key": "{{key}}"}}
    assert Masker().data(schema) == schema
    assert Masker().data({"password": {"a": ["swordfish", 1, None, True]}}) == {"password": {"a": [MARK, MARK, None, True]}}


def test_what_was_masked_makes_no_row(registry: pr.PromptRegistry, caplog: pytest.LogCaptureFixture) -> None:
    """A trace with a mark is left out of a dataset with a warning, and refused where it is given as data."""

    @pr.trace
    def answer(question: str) -> str:
        return question.upper()

    for question in ("use ghp_" + "a1" * 18, "hello"):
        with pr.record("agent"):
            answer(question)
    traces = pr.search_traces()
    assert sum(any(has_mask(span.attributes) for span in trace.spans) for trace in traces) == 1
    with caplog.at_level(logging.WARNING):
        dataset = pr.Dataset.from_traces(traces)
    assert [example.inputs["question"] for example in dataset] == ["hello"]
    assert "Left out 1 of 2 traces" in caplog.text
    with pytest.raises(pr.errors.InvalidExample, match="a secret was masked"):
        pr.evaluate(data=traces, predict_fn=answer, scorers=["exact_match"])
