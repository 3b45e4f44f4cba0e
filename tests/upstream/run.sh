#!/usr/bin/env bash
# run.sh SUITE MODE [pytest arguments…]: a framework's own tests with our adapter off, idle, recording or (LangChain) serving.
#   SUITE  langchain-core | langchain | langgraph | langgraph-prebuilt | openai-agents
# Keeps an environment and the framework's source distribution for each suite in $UPSTREAM (default: .upstream in the checkout).
set -euo pipefail
suite=$1 mode=$2
shift 2
here=$(cd "$(dirname "$0")/../.." && pwd)
work=${UPSTREAM:-$here/.upstream}
tests=tests adapters=langchain,langgraph options=()
common="pytest-timeout hatchling"
case $suite in
  langchain-core) package=langchain-core==1.7.2 tests=tests/unit_tests adapters=langchain options=(--disable-socket --allow-unix-socket)
    needs="pytest pytest-asyncio pytest-mock pytest-socket syrupy freezegun responses numpy blockbuster langchain-tests grandalf" ;;  # not langchain: it changes snapshots
  langchain) package=langchain==1.4.7 tests=tests/unit_tests options=(--disable-socket --allow-unix-socket)
    needs="langgraph==1.2.22 pytest>=9.0.3,<10 pytest-asyncio>=1.3 pytest-socket pytest-mock pytest-benchmark syrupy>=5,<6 toml blockbuster<1.6 langchain-tests langchain-openai fastmcp>=4.0.11,<5 vcrpy" ;;
  langgraph) package=langgraph==1.2.22; export NO_DOCKER=true
    needs="pytest pytest-cov pytest-dotenv pytest-mock syrupy httpx pytest-xdist pytest-repeat langgraph-checkpoint-sqlite langgraph-checkpoint-postgres psycopg[binary] pycryptodome redis uvloop" ;;
  langgraph-prebuilt) package=langgraph-prebuilt==1.1.2; export LANGGRAPH_TEST_FAST=1
    needs="langgraph==1.2.22 pytest pytest-asyncio pytest-mock syrupy pytest-xdist langgraph-checkpoint-sqlite langgraph-checkpoint-postgres psycopg[binary]" ;;
  openai-agents) package=openai-agents==0.24.0 adapters=openai_agents options=(--continue-on-collection-errors)
    needs="openai-agents[voice,viz,litellm,any-llm,realtime,sqlalchemy,encrypt,redis,dapr,mongodb,docker,s3]==0.24.0 openai==3.29.0 pytest==9.0.3 pytest-asyncio==1.4.0 pytest-mock pytest-xdist rich inline-snapshot==0.27.2 textual websockets graphviz eval-type-backport>=0.2.2 fastapi<1 aiosqlite fakeredis aiohttp pymongo uvicorn pyyaml jsonschema editables markdown twilio>=9,<10" ;;
  *) echo "unknown suite $suite" >&2; exit 2 ;;
esac
source=$work/$(echo "${package%%==*}" | tr - _)-${package##*==}
bin=$work/$suite/bin
mkdir -p "$work"
if [ ! -e "$work/$suite/ready" ]; then
  ${PYTHON:-python3} -m venv "$work/$suite"
  "$bin/pip" install -q --upgrade pip
  # shellcheck disable=SC2086  a list
  "$bin/pip" install -q -e "$here" "$package" $common $needs
  "$bin/pip" install -q hatchling uv-dynamic-versioning poetry-core pdm-backend
  "$bin/pip" download -q --no-binary :all: --no-build-isolation --no-deps -d "$work" "$package"
  tar -xzf "$source.tar.gz" -C "$work"
  # Its tests look for its source folder in tracebacks.
  if [ "$suite" = openai-agents ]; then "$bin/pip" install -q --no-build-isolation --no-deps -e "$source"; fi
  touch "$work/$suite/ready"
fi
unset OPENAI_API_KEY LANGSMITH_TRACING LANGCHAIN_TRACING_V2 LANGSMITH_API_KEY PROMPT_REGISTRY_ENABLE
# Links rather than the checkout, whose tests/, docs/ and examples/ would stand in the way of the framework's own.
links=$(mktemp -d)
trap 'rm -rf "$links"' EXIT
ln -s "$here/prompt_registry_plugin" "$here/adapters/prompt_registry_adapters" "$here/tests/upstream/with_prompt_registry.py" "$links/"
export WITH_PROMPT_REGISTRY=$mode WITH_ADAPTERS=$adapters PROMPT_REGISTRY_URL=sqlite:///$links/upstream.db PYTHONPATH=$links
cd "$source"
"$bin/python" -m pytest -q -p no:cacheprovider -p with_prompt_registry --timeout=120 -rfE ${options[@]+"${options[@]}"} "${@:-$tests}"
