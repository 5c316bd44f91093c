fetch_manifest
find_myself
found=''
while read -r -u 3 kind digest mode path url; do
    if [[ "$kind" == file && "$path" == scenario/* ]]; then
        fetch_file "$digest" "$mode" "$path" "$url"
        found=yes
    fi
done 3<manifest
[[ -n "$found" ]] || die 'the manifest names no scenario file'
