#!/usr/bin/env bash
# Installs what some tests need beside Python, where that is possible: bubblewrap (the sandbox), proxies as people put
# them in front of Ollama (nginx, Caddy, HAProxy, nghttpx), Chromium (the page), and node (JavaScript's tests). Where it is
# not, those tests skip and say why. Go, Cargo and npm are large, and are used only where they are.
set -u
missing=()
command -v bwrap >/dev/null || missing+=(bubblewrap)
command -v nghttpx >/dev/null || missing+=(nghttp2-proxy)
command -v nginx >/dev/null || missing+=(nginx-light)
command -v caddy >/dev/null || missing+=(caddy)
command -v haproxy >/dev/null || missing+=(haproxy)
command -v node >/dev/null || missing+=(nodejs)
command -v chromium >/dev/null || missing+=(chromium)
[ ${#missing[@]} -eq 0 ] && exit 0
if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "${missing[@]}"; } >/dev/null 2>&1 \
    && exit 0
fi
echo "not installed, so some tests skip: ${missing[*]} (apt install ${missing[*]})"
exit 0
