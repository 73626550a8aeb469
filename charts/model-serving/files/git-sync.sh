# Start git-sync so that neither a killed git nor a failed sync needs a person.
#
# Run by bash inside git-sync's own image (bash and coreutils, no find); the arguments are git-sync's.
# The chart passes this text to `bash -c`, compose.yaml mounts it: what one of them needs, both get.
#
# SYNC_ROOT, SYNC_ERROR_FILE and SYNC_RETRY_SECONDS repeat --root, --error-file and the pause before a retry.
root=${SYNC_ROOT:-/git}
error_file=${SYNC_ERROR_FILE:-/tmp/sync-error.json}
retry_seconds=${SYNC_RETRY_SECONDS:-60}
# The exec at the end keeps this id, so it is git-sync's. (Two dollar signs would do here, but not in a manifest.)
git_sync=$BASHPID

# What a git that was killed leaves behind: its locks fail every later sync, a shallow.lock even makes
# git-sync wipe the checkout, and half-written objects and packs fill the volume.
find_leftovers() {
  leftovers=("$root"/.git/*.lock "$root"/.git/worktrees/*/*.lock
    "$root"/.git/objects/tmp_* "$root"/.git/objects/*/tmp_*)
}

# No git runs yet: all of it is left over, and so are a publish that was cut off and the last process's error.
remove_all() {
  find_leftovers
  rm -f -- "${leftovers[@]}" "$root/tmp-link" "$error_file"
}

# Syncs never overlap: what is older than the last failure belongs to no git that still runs.
remove_stale() {
  local file
  find_leftovers
  for file in "${leftovers[@]}"; do
    if [[ $file -ot $error_file ]]; then rm -f -- "$file"; fi
  done
}

# After a failure git-sync waits a whole period, a day by default. HUP makes it sync at once (--sync-on-signal);
# the error file goes when a sync succeeds.
retry_failures() {
  while sleep "$retry_seconds" && kill -0 "$git_sync" 2>/dev/null; do
    if [[ -e $error_file ]]; then
      remove_stale
      kill -HUP "$git_sync"
    fi
  done
}

remove_all
retry_failures &
exec "${SYNC_COMMAND:-/git-sync}" "$@"
