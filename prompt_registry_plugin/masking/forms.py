"""The forms of credentials: known prefixes, headers, assignments, URLs. A credential needs a form; ordinary words have none.

Every repetition is bounded and begins at a literal or at the start of a word, so that masking takes linear time on any text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from prompt_registry_plugin.masking.values import is_basic_login, is_opaque, is_placeholder, is_secret_value

MARK = "***masked***"
"""What replaces a credential. Texts with it are not used as templates or rows of a dataset."""


@dataclass(frozen=True, slots=True)
class Form:
    """One form of credentials."""

    hints: Sequence[str]
    """A text in this form contains one of these, in lower case. Other texts are not searched."""
    pattern: re.Pattern[str]
    """Finds candidates. The group `secret` is what is replaced."""
    accept: Callable[[re.Match[str]], bool] = lambda match: True
    """Tells a credential from ordinary text of the same form."""
    is_placeholder: Callable[[str], bool] = is_placeholder
    """Tells what only marks the place of a credential."""

    def mask(self, text: str) -> str:
        """Return `text` with the credentials of this form replaced by `MARK`."""
        return self.pattern.sub(self._replace, text)

    def _replace(self, match: re.Match[str]) -> str:
        whole = match[0]
        if MARK in match["secret"] or self.is_placeholder(match["secret"]) or not self.accept(match):
            return whole
        start, end = (place - match.start() for place in match.span("secret"))
        return f"{whole[:start]}{MARK}{whole[end:]}"


# Tokens that are recognized by their prefix alone: what follows has the issuer's alphabet and about its length.
_TOKENS = {
    "GitHub": r"gh[pousr]_[A-Za-z0-9]{20,255}|github_pat_\w{20,255}",
    "GitLab": r"gl(?:pat|dt|rt|cbt|ptt|ft|soat|imt|agent)-[\w-]{16,300}|gloas-[\w-]{16,300}",
    "Slack": r"xox[abeprs](?:\.xox[bp])?-(?=[\w-]{0,200}?\d)[\w-]{10,255}|xapp-\d-[\w-]{10,255}",
    "AWS": r"(?:AKIA|ASIA|ABIA|ACCA)[0-9A-Z]{16}",
    "Google": r"AIza[\w-]{30,60}|ya29\.[\w-]{20,2000}|GOCSPX-[\w-]{16,60}",
    "Stripe": r"(?:sk|rk|pk)_(?:live|test|prod)_[A-Za-z0-9]{10,255}|whsec_[A-Za-z0-9+/]{16,255}={0,2}",
    "SendGrid": r"SG\.[\w-]{16,40}\.[\w-]{16,64}",
    "npm": r"npm_[A-Za-z0-9]{20,64}",
    "PyPI": r"pypi-(?:AgE[\w-]{8,1000}|(?=[\w-]{0,60}?\d)[A-Za-z0-9_]{30,1000})",
    "Groq": r"gsk_[A-Za-z0-9]{16,255}",
    "xAI": r"xai-[A-Za-z0-9]{20,255}",
    "LangSmith": r"lsv2_(?:pt|sk)_\w{10,255}",
    "Tavily": r"tvly-(?:dev-|prod-)?[A-Za-z0-9]{16,255}",
    "Pinecone": r"pcsk_\w{16,255}",
    "Databricks": r"dapi[0-9a-f]{16,64}(?:-\d)?",
    "Telegram": r"\d{8,10}:[A-Za-z0-9_-]{33,37}",
    "Hugging Face": r"(?:hf|api_org)_[A-Za-z0-9]{20,255}",
    "OpenAI, Anthropic, OpenRouter, Langfuse": (
        r"(?:sk|pk)-(?:proj|svcacct|admin|None|ant(?:-api\d{2}|-admin\d{2})?|or-v1|lf|litellm)-(?=[\w-]{0,60}?[\dA-Z_])[\w-]{12,400}"
        r"|(?:sk|pk|rk)[-_](?:[A-Za-z0-9]{20,255}|(?=[a-z0-9]{0,60}[A-Z])(?=[A-Za-z]{0,60}\d)[A-Za-z0-9]{14,255})"
    ),
    "Replicate, Perplexity, Fireworks, NVIDIA, Jina, E2B, Firecrawl": (
        r"r8_[A-Za-z0-9]{30,60}|pplx-[A-Za-z0-9]{30,80}|fw_[A-Za-z0-9]{20,60}|nvapi-[\w-]{40,100}|jina_[A-Za-z0-9]{40,100}"
        r"|e2b_[0-9a-f]{30,60}|fc-[0-9a-f]{32}"
    ),
    "Notion, Linear, Figma, Airtable, Postman, Atlassian": (
        r"ntn_[A-Za-z0-9]{30,60}|lin_api_[A-Za-z0-9]{30,60}|figd_[\w-]{30,60}|pat[A-Za-z0-9]{14}\.[0-9a-f]{64}"
        r"|PMAK-[A-Za-z0-9]{20,40}-[A-Za-z0-9]{30,40}|ATATT3[\w=-]{30,300}"
    ),
    "DigitalOcean, Vault, Doppler, Docker, Supabase, Shopify, Square, Heroku": (
        r"do[opr]_v1_[0-9a-f]{40,80}|hv[sbr]\.[\w-]{20,300}|dp\.(?:pt|st|ct|sa)\.[A-Za-z0-9.]{30,80}|dckr_(?:pat|oat)_[\w-]{20,60}"
        r"|sb[ps]_[0-9a-f]{40}|sb_secret_[\w-]{20,60}|shp(?:at|ca|pa|ss)_[0-9a-fA-F]{32}|sq0[a-z]{3}-[\w-]{20,50}|HRKU-[\w-]{30,80}"
    ),
    "Twilio, Mailchimp, Mailgun, Grafana, New Relic, Sentry, RubyGems, age": (
        r"(?:SK|AC)[0-9a-f]{32}|[0-9a-f]{32}-us\d{1,2}|key-[0-9a-f]{32}|gl(?:sa|c)_[A-Za-z0-9_+/=]{20,300}|NRAK-[A-Z0-9]{27}"
        r"|sntrys_[\w+/=]{30,400}|rubygems_[0-9a-f]{48}|AGE-SECRET-KEY-1[0-9A-Z]{58}"
    ),
    "JWT": r"eyJ[\w-]{8,4000}\.[\w-]{8,8000}(?:\.[\w-]{4,2000})?",
}
_TOKEN_HINTS = (
    "ghp_ gho_ ghu_ ghs_ ghr_ github_pat_ glpat- gldt- glrt- glcbt- glptt- glft- glsoat- glimt- glagent- gloas- xox xapp- akia asia abia "
    "acca aiza ya29. gocspx- sk_ rk_ pk_ whsec_ sg. npm_ pypi- gsk_ xai- lsv2_ tvly- pcsk_ dapi hf_ api_org_ sk- pk- rk- r8_ pplx- fw_ "
    "nvapi- jina_ e2b_ fc- ntn_ lin_api_ figd_ pat pmak- atatt3 doo_ dop_ dor_ hvs. hvb. hvr. dp. dckr_ sbp_ sbs_ sb_secret_ shpat_ "
    "shpca_ shppa_ shpss_ sq0 hrku- -us key- glsa_ glc_ nrak- sntrys_ rubygems_ age-secret-key- eyj : sk0 ac0"
).split() + [f"{kind}{digit}" for kind in ("sk", "ac") for digit in "123456789abcdef"]

# Names whose value is a credential, whatever it says; and names that are ordinary words as well.
_STRONG = (
    r"(?:(?:api|access|private|secret|account|signing|encryption|master|service|subscription|storage|shared[_-]?access|auth)[_-]?key"
    r"|passw(?:or)?d|passphrase|(?:client|app|webhook|signing|shared|api)[_-]?secret|(?<![A-Za-z0-9])pwd(?![A-Za-z0-9])"
    r"|(?:access|auth|refresh|bearer|api|bot|session|personal|deploy|security|id|csrf|secret)[_-]?token|credentials?)"
)
_WEAK = r"(?:(?<![A-Za-z])(?:token|secret)s?(?![A-Za-z]))"
_NAME = rf"(?P<name>(?<![\w-])[\w-]{{0,64}}?(?:{_STRONG}|{_WEAK})[\w-]{{0,64}})"
_NAME_HINTS = "key passw pwd passphrase secret token credential".split()
_QUOTED = r"(?P<quote>\\?[\"'])(?P<secret>(?:(?!(?P=quote)).){1,4000}?)(?P=quote)"
_BARE = r"(?P<secret>[^\s\"',;&{}<>()\[\]]{4,4000})(?P<after>[(\[{.]?)"
_WEAK_NAME = re.compile(rf"(?i)(?:{_WEAK})")
_STRONG_NAME = re.compile(rf"(?i)(?:{_STRONG})")
_ENV_NAME = re.compile(r"(?:[A-Z0-9]+_)*(?:TOKEN|KEY|SECRET|PASSWORD|PASSWD|PASS|PWD|PASSPHRASE|CREDENTIALS?)")
_ORDINARY_ENV = re.compile(
    r"(?:.*_)?(?:PRIMARY|FOREIGN|SORT|PARTITION|CACHE|PUBLIC|UNIQUE|INDEX|DICT|GROUP|HASH|REGISTRY|HOT)_KEY"
    r"|(?:.*_)?(?:EOS|BOS|PAD|UNK|SEP|CLS|MASK|STOP|NEXT|MAX|MIN|SPECIAL|START|END|PER|IMAGE|USER|NUM)_TOKEN|KEY|PASS"
)


def is_credential_name(name: str) -> bool:
    """Return whether the value under such a key of JSON data is a credential, whatever it says."""
    return _STRONG_NAME.search(name) is not None


def is_doubtful_name(name: str) -> bool:
    """Return whether the value under such a key is a credential if it looks like one. `token` is such a key."""
    return _WEAK_NAME.search(name) is not None


def _quoted_pair(match: re.Match[str]) -> bool:
    return is_credential_name(match["name"]) or is_opaque(match["secret"])


def _plain_pair(match: re.Match[str]) -> bool:
    """Return whether `name = value` or `name: value`, with an unquoted value, holds a credential."""
    value, is_tight = match["secret"], match["sign"] == "="
    if match["after"] in ("(", "[", "{"):
        return False  # code: a call, an index, a template
    if is_opaque(value):
        return is_credential_name(match["name"]) or len(value) >= 10 or is_tight
    return is_tight and is_credential_name(match["name"]) and is_secret_value(value)


def _env_pair(match: re.Match[str]) -> bool:
    if _ORDINARY_ENV.fullmatch(match["name"]) and not is_credential_name(match["name"]):
        return False
    value = match["secret"]
    return is_opaque(value) or (len(value) >= 6 and is_secret_value(value) and not match["name"].endswith("KEY"))


def _cookie(match: re.Match[str]) -> bool:
    values = [pair.partition("=")[2] for pair in match["secret"].split(";")]
    return any(not is_placeholder(value) and not re.fullmatch(r"\d{1,6}", value) for value in values if value)


def _authorization(match: re.Match[str]) -> bool:
    value = match["secret"]
    is_name = re.fullmatch(r"[\w-]+[.:,;]*", value) or re.search(r"://|@|=[^=]", value)
    return is_opaque(value) or is_basic_login(value) or (len(value) >= 8 and not is_name)


def _private_key(match: re.Match[str]) -> bool:
    return re.search(r"[A-Z0-9]", match["secret"].replace("\\n", "")) is not None


MODEL_ADDRESS = Form(
    ("openai+http",),
    re.compile(r"(?<!\w)openai\+https?://(?P<secret>[^\s/\"'<>{}]{1,500})(?=@)"),
    is_placeholder=lambda value: re.fullmatch(r"\*+", value) is not None,
)
"""The login in the address of a model. The user's name is masked too: it may be a key."""

FORMS = (
    Form(
        ("private key",),
        re.compile(
            r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----(?P<secret>(?:\\[nr]|[\w+/=:,\s.-]){1,20000}?)"
            r"(?=-----END|[^\w+/=:,\s.\\-]|\Z)"
        ),
        _private_key,
    ),
    Form(
        ("cookie",),
        re.compile(
            r"(?i)(?<![\w-])(?:set-)?cookie[\"']?\s{0,4}[:=]\s{0,4}[\"']?"
            r"(?P<secret>[\w.$!%-]{1,128}=[^\s;\"'{}<>]{1,4000}(?:;\s?[\w.$!%-]{1,128}(?:=[^\s;\"'{}<>]{0,4000})?){0,100})"
        ),
        _cookie,
    ),
    Form(
        ("authorization",),
        re.compile(
            r"(?i)(?<![\w])(?:proxy-)?authorization\\?[\"']?\s{0,4}[:=]\s{0,4}\\?[\"']?"
            r"(?:(?:bearer|basic|token|digest|apikey|api-key|negotiate|aws4-hmac-sha256|key)\s{1,8})?(?P<secret>[^\s\"'\\{}<>]{4,4000})"
        ),
        _authorization,
    ),
    Form(
        ("bearer",),
        re.compile(r"(?i)(?<!\w)bearer\s{1,8}(?P<secret>[\w.~+/=-]{8,4000})(?<!\.)"),
        lambda match: is_opaque(match["secret"]),
    ),
    Form(
        ("basic",),
        re.compile(r"(?i)(?<!\w)basic\s{1,8}(?P<secret>[\w+/-]{6,2000}={0,2})"),
        lambda match: is_basic_login(match["secret"]),
    ),
    MODEL_ADDRESS,
    Form(
        ("://",),
        re.compile(r"(?<!\w)\w[\w+.-]{0,19}://[^\s:/@\"'<>{}]{0,200}:(?P<secret>(?!\d{1,5}[/?#])[^\s\"'<>{}]{1,500})(?=@)"),
        is_placeholder=lambda value: re.fullmatch(r"PASSWORD|PASS|\*+|\$.*|%.*%", value) is not None,
    ),
    Form(
        ("://",),
        re.compile(r"(?<!\w)\w[\w+.-]{0,19}://(?P<secret>[^\s:/@\"'<>{}]{10,200})(?=@)"),
        lambda match: is_opaque(match["secret"]),
    ),
    Form(
        ("hooks.slack.com", "discord"),
        re.compile(r"(?:hooks\.slack\.com/(?:services|workflows)|discord(?:app)?\.com/api/webhooks)/(?P<secret>[\w/-]{16,255})"),
    ),
    Form(
        ("sig=", "signature=", "credential=", "x-amz-security-token="),
        re.compile(
            r"(?i)[?&;](?:sig|signature|x-(?:amz|goog)-(?:signature|credential|security-token))=(?P<secret>[^\s&\"'<>{}]{8,2000})"
        ),
    ),
    Form(  # Discord: the bot's number in Base64, a time, a signature
        (".",),
        re.compile(r"(?<![\w.-])(?P<secret>[MNO](?=[A-Za-z]{0,20}\d)[A-Za-z0-9]{22,26}\.[\w-]{6,7}\.[\w-]{27,40})(?![\w.-])"),
    ),
    Form(
        _TOKEN_HINTS,
        re.compile(rf"(?<![\w])(?P<secret>{'|'.join(_TOKENS.values())})(?![A-Za-z0-9])"),
    ),
    Form(
        _NAME_HINTS,
        re.compile(rf"(?i){_NAME}\\?[\"']?\s{{0,8}}[:=]\s{{0,8}}{_QUOTED}"),
        _quoted_pair,
    ),
    Form(
        _NAME_HINTS,
        re.compile(rf"(?i){_NAME}\\?[\"']?(?P<sign>\s{{0,8}}[:=]\s{{0,8}}){_BARE}"),
        _plain_pair,
    ),
    Form(
        ("token", "key", "secret", "pass", "pwd", "credential"),
        re.compile(rf"(?<![\w-])(?P<name>[A-Z][A-Z0-9_]{{0,80}})=(?:[\"'](?P<_>)|){_BARE}"),
        lambda match: (
            _ENV_NAME.fullmatch(match["name"]) is not None and match["after"] not in ("(", "[", "{") and _env_pair(match)
        ),
    ),
)
