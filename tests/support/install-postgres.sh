#!/bin/sh
# Install PostgreSQL, the tests' second database, where root is to be had; elsewhere say what will be skipped.
set -eu

if ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
    exit 0
fi
if command -v dpkg-query >/dev/null 2>&1; then
    as_root=
    [ "$(id -u)" = 0 ] || as_root="sudo -n"
    if [ -z "$as_root" ] || $as_root true 2>/dev/null; then
        echo "make: installing the tests' PostgreSQL"
        # the tests start servers of their own; no cluster is made, and none runs at boot
        if $as_root apt-get update -qq && $as_root apt-get install -y -qq --no-install-recommends \
            postgresql-common >/dev/null; then
            echo "create_main_cluster = false" | $as_root tee -a /etc/postgresql-common/createcluster.conf >/dev/null
            if $as_root env DEBIAN_FRONTEND=noninteractive \
                apt-get install -y -qq --no-install-recommends postgresql >/dev/null; then
                exit 0
            fi
        fi
    fi
fi
echo "make: PostgreSQL is not installed and cannot be; the tests that need it will be skipped" >&2
