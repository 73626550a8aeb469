#!/usr/bin/env bash
# The half of the git server that runs git, in git-sync's image; git_server.py is the other half.
set -euo pipefail
shared=/srv/shared
mkdir -p "$shared"
[[ -d /srv/models.git ]] || git init -q --bare -b main /srv/models.git
[[ -p $shared/queue ]] || mkfifo "$shared/queue"
exec 3<>"$shared/queue"
while read -r call protocol options <&3; do
  # shellcheck disable=SC2086  # the options are words, or none
  GIT_PROTOCOL=${protocol#-} git upload-pack --stateless-rpc $options /srv/models.git \
    <"$shared/$call/in" >"$shared/$call/out" &
done
