#!/bin/sh
# Install GStreamer's RTSP server, the tests' camera, where root is to be had; elsewhere say what will be skipped.
set -eu
packages="gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-base gstreamer1.0-plugins-good
 gstreamer1.0-plugins-ugly gstreamer1.0-libav python3-gi glib-networking openssl"

if command -v dpkg-query >/dev/null 2>&1; then
    missing=
    for package in $packages; do
        dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
    done
    [ -n "$missing" ] || exit 0
    as_root=
    [ "$(id -u)" = 0 ] || as_root="sudo -n"
    if [ -z "$as_root" ] || $as_root true 2>/dev/null; then
        echo "make: installing the tests' RTSP server:$missing"
        # shellcheck disable=SC2086
        if $as_root apt-get update -qq && $as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends $missing >/dev/null; then
            exit 0
        fi
    fi
fi
echo "make: GStreamer's RTSP server is not installed and cannot be; the tests that need it will be skipped" >&2
