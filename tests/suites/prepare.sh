#!/usr/bin/env bash
# Fetches other people's suites and client libraries into .cache/suites; `./check setup` runs it. None of it is committed.
#
#   cryptoki/   the crate's own source with its integration tests, from cargo's registry
#   python/     a virtual environment with python-pkcs11, and its source distribution with its tests
#   node/       graphene-pk11 and pkcs11js, built against the headers of the system's node
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
CACHE=$PWD/.cache/suites
PYTHON_PKCS11=0.10.1
mkdir -p "$CACHE"

# done_before NAME VERSION: is this version there, whole?
done_before() { [[ -f $CACHE/$1/.prepared && $(<"$CACHE/$1/.prepared") == "$2" ]]; }

# replace FILE OLD NEW: OLD must be there, or the suite has changed and this script must be looked at.
replace() {
    python3 - "$@" <<'PY'
import pathlib, sys
path, old, new = pathlib.Path(sys.argv[1]), sys.argv[2], sys.argv[3]
text = path.read_text()
if old not in text:
    sys.exit(f"{path} has no {old!r} any more: adapt tests/suites/prepare.sh")
path.write_text(text.replace(old, new))
PY
}

# The tests' two PINs are constants, and each test begins with C_InitToken. On a cluster a PIN is `user:password` and there is
# nothing to initialise: so the PINs take that form, which an embedded token takes too, and with SUITE_CLUSTER the user's objects are
# destroyed in place of C_InitToken.
prepare_cryptoki() {
    local source version
    source=$(dirname "$(cargo metadata --locked --format-version 1 --filter-platform x86_64-unknown-linux-gnu |
        python3 -c 'import json, sys
print(next(p["manifest_path"] for p in json.load(sys.stdin)["packages"] if p["name"] == "cryptoki"))')")
    version=$(basename "$source")
    done_before cryptoki "$version" && return
    rm -rf "$CACHE/cryptoki"
    cp -r "$source" "$CACHE/cryptoki"
    chmod -R u+w "$CACHE/cryptoki"
    local common=$CACHE/cryptoki/tests/common/mod.rs
    replace "$common" '"fedcba123456"' '"cu1:password1"'
    replace "$common" '"abcdef654321"' '"admin:adminPswd1"'
    replace "$common" '    pkcs11.init_token(slot, &so_pin, "Test Token").unwrap();' \
        '    if env::var("SUITE_CLUSTER").is_ok() {
        let session = pkcs11.open_rw_session(slot).unwrap();
        session.login(UserType::User, Some(&AuthPin::new(USER_PIN.into()))).unwrap();
        for object in session.find_objects(&[Attribute::Token(true)]).unwrap() {
            let _ = session.destroy_object(object);
        }
        session.logout().unwrap();
        return (pkcs11, slot);
    }
    pkcs11.init_token(slot, &so_pin, "Test Token").unwrap();'
    replace "$CACHE/cryptoki/tests/basic.rs" '"123456abcdef"' '"cu1:password2"'
    # A workspace of its own: it lies inside ours.
    printf '\n[workspace]\n' >>"$CACHE/cryptoki/Cargo.toml"
    (cd "$CACHE/cryptoki" && env -u CARGO_TARGET_DIR cargo test --locked --no-run)
    echo "$version" >"$CACHE/cryptoki/.prepared"
}

prepare_python() {
    done_before python "$PYTHON_PKCS11" && return
    rm -rf "$CACHE/python"
    python3 -m venv "$CACHE/python"
    local pip=("$CACHE/python/bin/pip" --quiet --disable-pip-version-check)
    "${pip[@]}" install "python-pkcs11==$PYTHON_PKCS11" cryptography pytest parameterized
    "${pip[@]}" download --no-deps --no-binary python-pkcs11 "python-pkcs11==$PYTHON_PKCS11" -d "$CACHE/python/sdist"
    mkdir "$CACHE/python/suite"
    # Only the tests: beside the package's source, Python would import that instead of what was built.
    tar -xf "$CACHE"/python/sdist/*.tar.gz -C "$CACHE/python/suite" --strip-components=1 --wildcards '*/tests/*'
    echo "$PYTHON_PKCS11" >"$CACHE/python/.prepared"
}

prepare_node() {
    local versions='graphene-pk11@2.3.6 pkcs11js@2.1.7' prefix
    done_before node "$versions" && return
    prefix=$(dirname "$(dirname "$(readlink -f "$(command -v node)")")")
    [[ -f $prefix/include/node/node_api.h ]] || { echo "no node headers in $prefix/include/node: apt-get install libnode-dev"; return 1; }
    rm -rf "$CACHE/node"
    mkdir "$CACHE/node"
    echo '{"private": true}' >"$CACHE/node/package.json"
    # shellcheck disable=SC2086
    (cd "$CACHE/node" && npm_config_nodedir=$prefix npm install --no-audit --no-fund $versions && node -e 'require("pkcs11js")')
    echo "$versions" >"$CACHE/node/.prepared"
}

prepare_cryptoki
prepare_python
prepare_node
