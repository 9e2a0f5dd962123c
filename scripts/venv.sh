# Makes .venv and keeps what is installed in it up to date.  Sourced by ./run and ./test, after `cd` to
# the root of the repository:
#
#   make_venv run     what the platform needs
#   make_venv test    that, and what the tests need

say() { printf '%s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

fits() {
    "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))' >/dev/null 2>&1
}

find_python() {
    local name
    for name in ${PYTHON:-python3.12 python3.11 python3 python}; do
        if command -v "$name" >/dev/null 2>&1 && fits "$name"; then
            command -v "$name"
            return
        fi
    done
    if [ -n "${PYTHON:-}" ]; then
        say "PYTHON=$PYTHON is not a Python 3.11 or 3.12."
    else
        say "There is no Python 3.11 or 3.12 here (pjsua2 has wheels for no newer one)."
    fi
    say "  Debian 12, Ubuntu 24.04:  apt-get install python3 python3-venv"
    say "  Fedora:                   dnf install python3.12"
    say "  anywhere:                 uv python install 3.12, or pyenv install 3.12"
    say "Then again, or with PYTHON=/path/to/python3.12 in front."
    exit 1
}

create_venv() {
    local python=$1 version
    say "Making .venv with $python"
    rm -rf .venv
    if "$python" -c 'import venv, ensurepip' >/dev/null 2>&1; then
        "$python" -m venv .venv || fail "'$python -m venv .venv' failed; see above."
        return
    fi
    # Debian and Ubuntu ship ensurepip in a package of its own; an existing pip can stand in for it.
    if "$python" -m venv --without-pip .venv >/dev/null 2>&1 &&
        "$python" -m pip --python .venv/bin/python install --quiet pip >/dev/null 2>&1; then
        return
    fi
    rm -rf .venv
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    say "$python cannot make virtual environments: its venv module is a package of its own here."
    fail "  Debian, Ubuntu:  apt-get install python$version-venv    then again."
}

make_venv() {
    local kind=$1 target=. stamp=.venv/trunkflow-installed wanted python
    [ "$kind" = test ] && target='.[test]'
    if command -v flock >/dev/null 2>&1; then
        # Two at once would install over each other.  The lock goes when this shell does, or with the next line.
        exec 9>.venv.lock
        flock 9
    fi
    if ! [ -x .venv/bin/python ] || ! fits .venv/bin/python; then
        python=$(find_python) || exit 1
        create_venv "$python"
    fi
    wanted="$(pwd) $(.venv/bin/python -c 'import hashlib, sys
print(sys.version_info[:2], hashlib.sha256(open("pyproject.toml", "rb").read()).hexdigest())')"
    # What the tests need includes what the platform needs.
    if ! grep -qxF "$kind $wanted" "$stamp" 2>/dev/null && ! grep -qxF "test $wanted" "$stamp" 2>/dev/null; then
        say "Installing what trunkflow needs into .venv (once; 100 MB to fetch, a minute or so)"
        if ! .venv/bin/python -m pip install --disable-pip-version-check --no-input --editable "$target" \
            >.venv/pip.log 2>&1; then
            tail -n 20 .venv/pip.log >&2
            say "pip could not install the packages that pyproject.toml names. The end of what it said is above,"
            say "all of it in .venv/pip.log. It needs a package index: behind a proxy set HTTPS_PROXY, with a"
            fail "mirror set PIP_INDEX_URL. Then again."
        fi
        printf '%s\n' "$kind $wanted" >"$stamp"
    fi
    if command -v flock >/dev/null 2>&1; then exec 9>&-; fi
}
