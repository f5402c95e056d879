#!/usr/bin/env bash
# Restores a Holdline repository from one site, without Holdline: with bash, age, zstd, tar, coreutils, openssl, jq and awk.
#
#   recover.sh SITE_DIR ROOT_FINGERPRINT IDENTITY_FILE OUT_DIR [DATASET]
#
#   SITE_DIR          the site's directory, or a bucket copied to a directory: it has a folder v1. Data and key bucket in one.
#   ROOT_FINGERPRINT  SHA256:… as it stands on the escrow sheet. Nothing that this root did not sign is trusted.
#   IDENTITY_FILE     an organisation identity, as an age identity file; age asks for its passphrase where it has one
#   OUT_DIR           must not exist. Nothing is written outside of it; while this runs, account keys are in OUT_DIR/.recover
#   DATASET           only this one; otherwise all
#
# RECOVER_BEFORE=2026-11-20T00:00:00.000Z leaves out what claims to have been written later, to go back before a disaster.
#
# Of a state, each agent's newest complete snapshot is restored; of an archive, the newest version of everything it ever held. It
# goes to OUT_DIR/<dataset>/<agent>/<account>/<path>, with its time and its permissions. Symbolic links are not made: where they
# were and what they pointed to is listed in OUT_DIR/LINKS.tsv. What the backup itself could not read is listed in OUT_DIR/MISSING.tsv.
# In both, backslash, tab, line feed and carriage return are written as \\ \t \n \r. Owners are not restored.
#
# Exit: 0 done, 1 failed, 2 usage, 3 something was refused or not found; each such thing is named on standard error.
# The bytes are specified in src/format/README.md; §14 there does the same by hand.
set -euo pipefail
export LC_ALL=C
umask 077

refused=0
refuse() {
  printf 'refused: %s\n' "$*" >&2
  refused=$((refused + 1))
}
note() { printf 'note: %s\n' "$*" >&2; }
die() {
  printf 'recover: %s\n' "$*" >&2
  exit 1
}

if [ "${1-}" = --help ]; then
  sed -n '2,/^set -euo/{/^set -euo/d;s/^# \{0,1\}//;p}' "$0"
  exit 0
fi
if [ $# -lt 4 ] || [ $# -gt 5 ]; then
  printf 'usage: recover.sh SITE_DIR ROOT_FINGERPRINT IDENTITY_FILE OUT_DIR [DATASET]\n' >&2
  exit 2
fi
site=${1%/} fingerprint=$2 identity=$3 out=${4%/} dataset=${5-} before=${RECOVER_BEFORE-}

for tool in age age-keygen zstd tar sha256sum openssl jq awk base64 dd; do
  command -v "$tool" >/dev/null || die "$tool: not installed"
done
[ -d "$site/v1" ] || die "$site: has no folder v1, so it is no site"
[ -r "$identity" ] || die "$identity: cannot be read"
[[ $fingerprint =~ ^SHA256:[A-Za-z0-9+/]{43}$ ]] || die "$fingerprint: not a fingerprint such as SHA256:…, with 43 characters after the colon"
if grep -q '^AGE-SECRET-KEY-PQ-' "$identity" && [[ $(age --version) =~ ^v?([0-9]+)\.([0-9]+) ]]; then
  if ((BASH_REMATCH[1] * 1000 + BASH_REMATCH[2] < 1003)); then
    die "$identity: a post-quantum identity needs age 1.3 or later, this is age ${BASH_REMATCH[1]}.${BASH_REMATCH[2]}"
  fi
fi

mkdir -- "$out" || die "$out: must not exist yet, and the folder it lies in must"
case $out in /*) ;; *) out=$PWD/$out ;; esac
work=$out/.recover
mkdir -- "$work" "$work/keys"
trap 'rm -rf -- "$work"; rmdir -- "$out" 2>/dev/null || true' EXIT

digest_of() {
  local digest
  read -r digest _ < <(sha256sum <"$1")
  printf '%s' "$digest"
}

# from_base64 TEXT: sets `bytes`, also where they end in a line break; "-" stands for none.
from_base64() {
  bytes=$(
    printf '%s' "${1#-}" | base64 -d 2>/dev/null || true
    printf .
  )
  bytes=${bytes%.}
}
escaped() {
  local text=${1//\\/\\\\}
  text=${text//$'\t'/\\t} text=${text//$'\n'/\\n}
  printf '%s' "${text//$'\r'/\\r}"
}
# slice FILE OFFSET LENGTH
slice() { dd if="$1" bs=64K iflag=skip_bytes,count_bytes skip="$2" count="$3" status=none; }

# named_by_hash FILE: whether the last 32 hex characters of its name begin its SHA-256.
named_by_hash() {
  local name=${1##*/}
  name=${name%.*}
  [ -f "$1" ] && [ ! -L "$1" ] && [ "${name##*-}" = "$(digest_of "$1" | cut -c1-32)" ]
}

fingerprint_of() {
  local digest
  digest=$({
    printf '\000\000\000\013ssh-ed25519\000\000\000\040'
    printf '%s' "$1" | base64 -d
  } | openssl dgst -sha256 -binary | base64)
  printf 'SHA256:%s' "${digest%%=*}"
}

# signed KIND FILE PUBLIC_KEY: whether that key signed this object.
signed() {
  [[ $3 =~ ^[A-Za-z0-9+/]{43}=$ ]] || return 1
  [ "$(wc -l <"$2")" -eq 2 ] && [ -z "$(tail -c 1 "$2")" ] || return 1
  [[ $(sed -n 2p "$2") =~ ^ed25519\ [0-9a-f]{32}\ ([A-Za-z0-9+/]{86}==)$ ]] || return 1
  printf '%s' "${BASH_REMATCH[1]}" | base64 -d >"$work/signature"
  {
    printf 'holdline/v1/%s\n' "$1"
    sed -n 1p "$2" | tr -d '\n'
  } >"$work/message"
  {
    printf '\060\052\060\005\006\003\053\145\160\003\041\000'
    printf '%s' "$3" | base64 -d
  } >"$work/public.der"
  openssl pkeyutl -verify -pubin -keyform DER -inkey "$work/public.der" -rawin -in "$work/message" -sigfile "$work/signature" \
    >/dev/null 2>&1
}

# root_signed KIND FILE: whether the root did, and whether this script knows the version.
root_signed() {
  local root
  named_by_hash "$2" || return 1
  root=$(sed -n 1p "$2" | jq -er 'select(.v == 1 and .crit == []) | .root' 2>/dev/null) || return 1
  [ "$(fingerprint_of "$root" 2>/dev/null)" = "$fingerprint" ] && signed "$1" "$2" "$root"
}

# --- what the root says ---------------------------------------------------------------------------------------------------------

repository=
for file in "$site"/v1/repository-*.json; do
  [ -e "$file" ] || continue
  if root_signed repository "$file"; then
    id=$(sed -n 1p "$file" | jq -er .id)
    [ -z "$repository" ] || [ "$repository" = "$id" ] || die "$site: two repositories of this root in one site"
    repository=$id
  else
    note "${file#"$site"/}: not signed by root $fingerprint"
  fi
done
[ -n "$repository" ] || die "$site: holds no repository signed by root $fingerprint: compare it with the escrow sheet"

: >"$work/trust"
for file in "$site"/v1/trust/*.json; do
  [ -e "$file" ] || continue
  if root_signed trust "$file" && [ "$(sed -n 1p "$file" | jq -er .repository)" = "$repository" ]; then
    sed -n 1p "$file" | jq -r --arg sha "$(digest_of "$file")" --arg file "$file" '[.n, $sha, .prev // "-", $file] | @tsv' >>"$work/trust"
  else
    refuse "${file#"$site"/}: not a trust list of this repository signed by its root"
  fi
done
expected=1 previous=-
: >"$work/agents"
while IFS=$'\t' read -r n sha prev file; do
  if [ "$n" -ne "$expected" ] || [ "$prev" != "$previous" ]; then
    die "${file#"$site"/}: does not follow list $((expected - 1)): a trust list is missing, or there are two with one number"
  fi
  sed -n 1p "$file" | jq -r '.agents[] | [.id, .key] | @tsv' >>"$work/agents"
  expected=$((n + 1)) previous=$sha
done < <(sort -n "$work/trust")
[ "$expected" -gt 1 ] || die "$site: holds no trust list"
sort -u -o "$work/agents" "$work/agents"

# --- commits --------------------------------------------------------------------------------------------------------------------

: >"$work/commits"
agent_signed() {
  local id key
  while IFS=$'\t' read -r id key; do
    if [ "$id" = "$1" ] && signed commit "$2" "$key"; then return 0; fi
  done <"$work/agents"
  return 1
}
while IFS= read -r agent; do
  [[ $agent =~ ^[a-z0-9][a-z0-9-]*$ ]] || die "trust list: $agent is no agent's id"
  for file in "$site/v1/$agent/log/"*.json; do
    [ -e "$file" ] || continue
    name=${file##*/}
    if [[ $name =~ ^[0-9]{12}-[0-9a-f]{32}\.json$ ]] && named_by_hash "$file" && agent_signed "$agent" "$file"; then
      printf '{"agent":"%s","seq":%d,"name":"%s","body":%s}\n' "$agent" "$((10#${name:0:12}))" "$name" "$(sed -n 1p "$file")" \
        >>"$work/commits"
    else
      refuse "v1/$agent/log/$name: not signed by a trusted key of $agent, or not the bytes it is named by"
    fi
  done
done < <(cut -f1 "$work/agents" | sort -u)

# shellcheck disable=SC2016 # these are jq's variables
understood='def understood: . as $c | .body | .v == 1 and .crit == [] and .repository == $repository and .agent == $c.agent and .seq == $c.seq and (.kind == "backup" or .kind == "control");'
jq -r --arg repository "$repository" "$understood"' select(understood | not) | "v1/\(.agent)/log/\(.name)"' "$work/commits" >"$work/strange"
while IFS= read -r name; do
  refuse "$name: a commit of another repository, agent or number, or one this script is too old for"
done <"$work/strange"

jq -sc --arg repository "$repository" --arg dataset "$dataset" --arg before "$before" "$understood"'
  map(select(understood and .body.kind == "backup" and ($dataset == "" or .body.dataset == $dataset) and ($before == "" or .body.time < $before)))
  | map(select(.body.mode == "archive"))
    + (map(select(.body.mode == "state")) | group_by([.body.dataset, .agent]) | map((map(select(.body.complete)) | max_by(.seq)) // max_by(.seq)))
  | sort_by([.body.dataset, .agent, -.seq]) | .[]' "$work/commits" >"$work/selected"
[ -s "$work/selected" ] || die "$site: holds no snapshot${dataset:+ of $dataset}${before:+ from before $before}"
jq -r 'select(.body.complete | not) | .name' "$work/selected" | while IFS= read -r name; do note "$name: a partial run; some of what it was asked for is not in it"; done

# --- packs ----------------------------------------------------------------------------------------------------------------------

declare -A pack_path pack_state pack_member
jq -r '
  .agent as $agent | .body.packs[] | . as [$sha, $bytes, $class, $kind, $date]
  | select(($sha | test("^[0-9a-f]{64}$")) and ($class | test("^[a-z0-9][a-z0-9-]*$")) and ($kind == "pack" or $kind == "meta") and ($date | test("^[0-9-]{10}$")))
  | [$sha, "v1/\($agent)/\($kind)/\($class)/\($date)/\($sha).tar"] | @tsv' "$work/selected" >"$work/packs"
while IFS=$'\t' read -r sha path; do pack_path[$sha]=$path; done <"$work/packs"

# open_pack SHA: sets `pack` to its file when its bytes are what its name says, and `why` when not.
open_pack() {
  why="pack $1: listed by no commit"
  [[ $1 =~ ^[0-9a-f]{64}$ ]] && [ -n "${pack_path[$1]-}" ] || return 1
  pack=$site/${pack_path[$1]}
  if [ -z "${pack_state[$1]-}" ]; then
    if [ ! -f "$pack" ] || [ -L "$pack" ]; then
      pack_state[$1]="pack ${pack_path[$1]}: not at this site"
    elif [ "$(digest_of "$pack")" != "$1" ]; then
      pack_state[$1]="pack ${pack_path[$1]}: its bytes are not those it is named by"
    else
      pack_state[$1]=good
    fi
  fi
  why=${pack_state[$1]}
  [ "$why" = good ]
}

# find_member SHA INDEX: sets `offset`, `length` and `kind` of a pack's segment.
find_member() {
  local block size name index=0
  if [ -z "${pack_member[$1:0]-}" ]; then
    while IFS=' ' read -r block size name; do
      pack_member[$1:$index]="$(((block + 1) * 512)) $size $name"
      index=$((index + 1))
    done < <(tar -tvRf "$pack" --numeric-owner 2>/dev/null | awk '$1 == "block" && NF == 8 { sub(":", "", $2); print $2, $5, $8 }')
  fi
  read -r offset length name <<<"${pack_member[$1:$2]-}"
  kind=${name#????.}
  why="pack ${pack_path[$1]}: has no member $2"
  [ "$kind" = tar.age ] || [ "$kind" = tar.zst.age ]
}

# read_listing SHA INDEX IDENTITY MEMBER: the listing's lines, in the file `listing`.
read_listing() {
  open_pack "$1" && find_member "$1" "$2" || return 1
  why="pack ${pack_path[$1]}: member $2 cannot be opened with this identity, or is no $4"
  [ "$kind" = tar.zst.age ] && slice "$pack" "$offset" "$length" | age -d -i "$3" 2>"$work/age" | zstd -dcq 2>/dev/null | tar -xOf - "$4" >"$work/listing" 2>/dev/null
}

# open_key ACCOUNT EPOCH: sets `key` to an identity file. Every key object that this identity opens is in it.
open_key() {
  local object recipient
  why="bad account or epoch"
  [[ $1 =~ ^([0-9a-f]{32}|platform|mixed)$ && $2 =~ ^[0-9a-z]{1,16}$ ]] || return 1
  key=$work/keys/$1-$2
  if [ ! -e "$key" ]; then
    : >"$key"
    for object in "$site/v1/keys/$1/$2"-e*-*.age; do
      named_by_hash "$object" || continue
      # age-keygen tells a broken identity from a good one: a single broken one would make age refuse the whole file.
      if age -d -i "$identity" "$object" >"$work/opened" 2>"$work/age" && recipient=$(age-keygen -y "$work/opened" 2>/dev/null) &&
        grep -qx "# account: $1" "$work/opened" && grep -qx "# epoch: $2" "$work/opened" && grep -qx "# recipient: $recipient" "$work/opened"; then
        cat "$work/opened" >>"$key"
      fi
    done
  fi
  why="account $1, epoch $2: no key object at this site that this identity opens"
  [ -s "$key" ]
}

# --- listings: a row for every item, the newest first ---------------------------------------------------------------------------

: >"$work/rows"
read_manifest() { # DESTINATION AGENT DATASET ACCOUNT EPOCH PARTITION PACK MEMBER SHA PART PARTS
  open_key "$4" "$5" && read_listing "$7" "$8" "$key" MANIFEST.jsonl || return 1
  why="manifest in pack ${pack_path[$7]}, member $8: not the one the inventory names"
  [ "$(digest_of "$work/listing")" = "$9" ] || return 1
  jq -nr --arg destination "$1" --arg epoch "$5" --arg repository "$repository" --arg agent "$2" --arg dataset "$3" --arg account "$4" --arg partition "$6" --argjson part "${10}" --argjson parts "${11}" '
    def base64: if type == "string" then @base64 else .b64 end;
    input as $first
    | if $first | .v == 1 and (.crit // []) == [] and .repository == $repository and .agent == $agent and .dataset == $dataset and .account == $account and .partition == $partition and .part == $part and .parts == $parts
      then inputs else error("foreign") end
    | select(.gone | not)
    | [ $destination, $epoch, if .missing then "missing" else .type end, (.path | base64), .size, .mtime, .mode, .sha256 // "-",
        if .missing then .missing.reason | @base64 | if . == "" then "-" else . end elif .link then .link | base64 else "-" end,
        if .at then .at | map([$first.packs[.[0]]] + .[1:] | map(tostring) | join(":")) | join(",") else "-" end ]
    | @tsv' "$work/listing" >"$work/items" 2>/dev/null && cat "$work/items" >>"$work/rows"
}
read_inventory() { # NAME AGENT DATASET RUN PART PARTS PACK MEMBER
  local account epoch partition64 in member sha part parts
  read_listing "$7" "$8" "$identity" INVENTORY.jsonl || return 1
  why="inventory in pack ${pack_path[$7]}, member $8: not this commit's"
  jq -nr --arg repository "$repository" --arg agent "$2" --arg dataset "$3" --arg run "$4" --argjson part "$5" --argjson parts "$6" '
    input as $first
    | if $first | .v == 1 and (.crit // []) == [] and .repository == $repository and .agent == $agent and .dataset == $dataset and .run == $run and .part == $part and .parts == $parts
      then inputs else error("foreign") end
    | . as $p | .manifests | to_entries[] | [$p.account, $p.epoch, ($p.partition | @base64 | if . == "" then "-" else . end), .value[0], .value[1], .value[2], .key, ($p.manifests | length)] | @tsv' "$work/listing" >"$work/partitions" 2>/dev/null || return 1
  while IFS=$'\t' read -r account epoch partition64 in member sha part parts; do
    from_base64 "$partition64"
    read_manifest "$3/$2/$account" "$2" "$3" "$account" "$epoch" "$bytes" "$in" "$member" "$sha" "$part" "$parts" ||
      refuse "$1: account $account, $(escaped "$bytes"): $why"
  done <"$work/partitions"
}
jq -r '. as $c | .body.inventory | length as $parts | to_entries[] | ["v1/\($c.agent)/log/\($c.name)", $c.agent, $c.body.dataset, $c.body.run, .key, $parts, .value[0], .value[1]] | @tsv' "$work/selected" >"$work/inventories"
while IFS=$'\t' read -r name agent set run part parts sha member; do
  [[ $set =~ ^[a-z0-9][a-z0-9-]*$ ]] || die "$name: bad name of a dataset"
  read_inventory "$name" "$agent" "$set" "$run" "$part" "$parts" "$sha" "$member" || refuse "$name: $why"
done <"$work/inventories"

# The first row of a path is its newest; what is missing does not hide an older capture of it.
: >"$work/file" && : >"$work/directory" && : >"$work/symlink" && : >"$work/missing"
awk -F '\t' -v OFS='\t' -v folder="$work" '
  $3 == "missing" { if (!(($1, $4) in newest) && !lacking[$1, $4]++) print >(folder "/missing"); next }
  ($1, $4) in newest { next }
  { newest[$1, $4] = 1 }
  $3 == "file" { split($10, at, /[:,]/); print at[1], at[2] + 0, at[4] + 0, $0 >(folder "/file"); next }
  $3 == "directory" || $3 == "symlink" { print >(folder "/" $3) }' "$work/rows"

# --- content --------------------------------------------------------------------------------------------------------------------

# confined PATH: whether it stays below the folder it is joined to.
confined() {
  why="its path would leave $out"
  case "/$1/" in *//* | */./* | */../*) return 1 ;; esac
}
# stamp PATH MTIME MODE
stamp() {
  local sign='' ns=$2
  [[ $ns =~ ^-?[0-9]+$ && $3 =~ ^[0-9]+$ ]] || return 1
  case $ns in -*) sign=- ns=${ns#-} ;; esac
  ns=0000000000$ns
  chmod -- "$(printf '%o' $(($3 & 0777)))" "$1" && touch -d "@$sign$((10#${ns:0:${#ns}-9})).${ns: -9}" -- "$1" 2>/dev/null
}

declare -A segment_failed
segment_open='' frame_open=''
# open_segment PACK OFFSET LENGTH ACCOUNT EPOCH: the segment's plaintext, in the file `segment`.
open_segment() {
  local name
  [ "$segment_open" != "$1:$2:$4" ] || return 0
  why=${segment_failed[$1:$2:$4]-}
  [ -z "$why" ] || return 1
  segment_open='' frame_open=''
  if open_pack "$1" && open_key "$4" "$5"; then
    why="pack ${pack_path[$1]}: the segment at $2 does not open"
    name=$(slice "$pack" "$(($2 - 512))" 100 2>/dev/null | tr -d '\000') || name=
    segment_kind=${name#????.}
    if slice "$pack" "$2" "$3" | age -d -i "$key" >"$work/segment" 2>"$work/age"; then
      segment_open=$1:$2:$4
      return 0
    fi
  fi
  segment_failed[$1:$2:$4]=$why
  return 1
}
# read_extent ACCOUNT EPOCH EXTENT: its bytes, on standard output.
read_extent() {
  local sha offset length frame_offset frame_length skip count
  why="a bad location"
  [[ $3 =~ ^[0-9a-f]{64}(:[0-9]+){6}$ ]] || return 1
  IFS=: read -r sha offset length frame_offset frame_length skip count <<<"$3"
  open_segment "$sha" "$offset" "$length" "$1" "$2" || return 1
  if [ "$segment_kind" = tar.age ]; then
    slice "$work/segment" "$((frame_offset + skip))" "$count"
    return
  fi
  if [ "$frame_open" != "$segment_open:$frame_offset" ]; then
    why="pack ${pack_path[$sha]}: the frame at $frame_offset of the segment at $offset does not open"
    frame_open=''
    slice "$work/segment" "$frame_offset" "$frame_length" | zstd -dcq >"$work/frame" 2>/dev/null || return 1
    frame_open=$segment_open:$frame_offset
  fi
  slice "$work/frame" "$skip" "$count"
}
# restore_file DESTINATION EPOCH PATH MTIME MODE SHA EXTENTS
restore_file() {
  local target=$out/$1/$3 extent extents=()
  confined "$3" || return 1
  [ "$7" = - ] || IFS=, read -ra extents <<<"$7"
  : >"$work/content"
  for extent in "${extents[@]}"; do read_extent "${1##*/}" "$2" "$extent" >>"$work/content" || return 1; done
  why="its content is not what the manifest says"
  [ "$(digest_of "$work/content")" = "$6" ] || return 1
  why="something else has its name here"
  mkdir -p -- "${target%/*}" 2>/dev/null && [ ! -e "$target" ] && [ ! -L "$target" ] && mv -- "$work/content" "$target" 2>/dev/null || return 1
  stamp "$target" "$4" "$5" || note "$(escaped "$1/$3"): its time or permissions could not be set"
}

files=0
while IFS=$'\t' read -r _ _ _ destination epoch _ path64 _ mtime mode sha _ at; do
  from_base64 "$path64"
  if restore_file "$destination" "$epoch" "$bytes" "$mtime" "$mode" "$sha" "$at"; then
    files=$((files + 1))
  else
    refuse "$(escaped "$destination/$bytes"): $why"
  fi
done < <(sort -t $'\t' -k1,1 -k2,2n -k3,3n "$work/file")

while IFS=$'\t' read -r destination _ _ path64 _; do
  from_base64 "$path64"
  why="something else has its name here"
  if ! { confined "$bytes" && mkdir -p -- "$out/$destination/$bytes" 2>/dev/null; }; then
    refuse "$(escaped "$destination/$bytes"): $why"
  fi
done <"$work/directory"
# Deepest first, and after all content: writing into a directory changes its time, and it may forbid to be written into.
while IFS=$'\t' read -r _ destination _ _ path64 _ mtime mode _; do
  from_base64 "$path64"
  if confined "$bytes" && [ -d "$out/$destination/$bytes" ]; then
    stamp "$out/$destination/$bytes" "$mtime" "$mode" || note "$(escaped "$destination/$bytes"): its time or permissions could not be set"
  fi
done < <(while IFS= read -r row; do
  IFS=$'\t' read -r _ _ _ path64 _ <<<"$row"
  from_base64 "$path64"
  slashes=${bytes//[!\/]/}
  printf '%d\t%s\n' "${#slashes}" "$row"
done <"$work/directory" | sort -t $'\t' -k1,1nr)

table() { # FILE HEADING: rows of paths and a second column, as a table for people
  local destination path64 second64 path
  printf '%s\n' "$2"
  while IFS=$'\t' read -r destination _ _ path64 _ _ _ _ second64 _; do
    from_base64 "$path64"
    path=$bytes
    from_base64 "$second64"
    printf '%s\t%s\n' "$(escaped "$destination/$path")" "$(escaped "$bytes")"
  done <"$work/$1"
}
if [ -s "$work/symlink" ]; then table symlink $'path\ttarget' >"$out/LINKS.tsv"; fi
if [ -s "$work/missing" ]; then table missing $'path\treason' >"$out/MISSING.tsv"; fi

printf '%d files restored and equal to their manifests, %d links listed, %d missing from the backup, %d refused\n' \
  "$files" "$(wc -l <"$work/symlink")" "$(wc -l <"$work/missing")" "$refused"
[ "$refused" -eq 0 ] || exit 3
