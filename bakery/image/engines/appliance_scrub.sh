# Runs inside the libguestfs appliance (bash, with the programs of this machine's own packages).
#
#     appliance_scrub.sh mount    MOUNTS           mount every filesystem at /sysroot/kept/NAME
#     appliance_scrub.sh prepare  MOUNTS LIST      mount every filesystem at /sysroot/volumes/NAME,
#                                                  with a folder .bakery-scrub to move things into
#     appliance_scrub.sh stage    MOUNTS LIST      copy and empty; show the folders in /sysroot/kept
#     appliance_scrub.sh destroy  MOUNTS           overwrite and remove what was staged
#     appliance_scrub.sh clear    MOUNTS SWAPS GAPS    leave no byte of what no file holds
#     appliance_scrub.sh unmount  MOUNTS
#
# The files hold words, a NUL behind each. MOUNTS: name, device, type, mount options, and how free
# space is cleared, `trim` or `fill`; `part` is a subvolume, which goes before it is. LIST: action, name of the mount, path. SWAPS: device, UUID, label. GAPS: offset, bytes.
# It prints `left NAME PATH` for a link that cannot be emptied, and `fixed NAME PATH` for a folder
# that is immutable, as the root of an OSTree deployment is: nobody could set its times again.
set -eu -o pipefail
volumes=/sysroot/volumes
kept=/sysroot/kept
stage=.bakery-scrub
disk=/dev/disk/guestfs/image

each() { # FUNCTION FILE COUNT: call FUNCTION with COUNT words of the file, again and again
    local -a words
    while mapfile -d '' -t -n "$3" -u 3 words && [ "${#words[@]}" = "$3" ]; do
        "$1" "${words[@]}"
    done 3<"$2"
}

mount_at() { # FOLDER NAME DEVICE TYPE OPTIONS
    mkdir -p "$1/$2"
    mount -t "$4" -o "$5" "$3" "$1/$2"
}

mount_kept() { # NAME DEVICE TYPE OPTIONS HOW
    mount_at $kept "$1" "$2" "$3" "$4"
    [ "$3" = btrfs ] || return 0
    btrfs subvolume list -r "$kept/$1" |
        sed 's/^ID [0-9]* gen [0-9]* top level [0-9]* path //' >"/tmp/read-only.$1"
    set_read_only "$1" false
}
mount_volume() { # NAME DEVICE TYPE OPTIONS HOW
    mount_at $volumes "$1" "$2" "$3" "$4"
    if [ "$5" = part ] && [ "$(btrfs property get -ts "$volumes/$1" ro)" = ro=true ]; then
        btrfs property set -ts "$volumes/$1" ro false
        : >"/tmp/read-only.$1"
    fi
}
unmount_volume() { umount "$volumes/$1"; }
unmount_kept() {
    [ ! -e "/tmp/read-only.$1" ] || set_read_only "$1" true
    umount "$kept/$1"
}
set_read_only() { # NAME true|false: of the subvolumes that were
    local path
    while IFS= read -r path; do
        btrfs property set -ts "$kept/$1/$path" ro "$2"
    done <"/tmp/read-only.$1"
}

# The folders that lead to what is taken are kept too, empty, for their owners, modes and times.
add_parents() { # ACTION NAME PATH
    local path=$3
    [ "$1" != blank ] || return 0
    while [ -n "$path" ]; do
        path=${path%/*}
        printf '.%s\0' "$path" >>"/tmp/parents.$2"
    done
}

make_stage() { # NAME DEVICE TYPE OPTIONS HOW
    [ -e "/tmp/parents.$1" ] || return 0
    mkdir "$volumes/$1/$stage"
    cd "$volumes/$1"
    sort -zu "/tmp/parents.$1" | { xargs -0 lsattr -d 2>/dev/null || true; } |
        while read -r flags path; do
            case $flags in *i*) echo "fixed $1 ${path#.}" ;; esac
        done
    cd /
    sort -zu "/tmp/parents.$1" |
        tar -C "$volumes/$1" --null --no-recursion --xattrs --numeric-owner --format=posix \
            -T - -cf "/tmp/parents.$1.tar"
    unpack_parents "$1"
}

unpack_parents() { # NAME
    [ -e "/tmp/parents.$1" ] || return 0
    tar -C "$volumes/$1/$stage" --xattrs --xattrs-include='*' --numeric-owner -xpf \
        "/tmp/parents.$1.tar"
}

take() { # ACTION NAME PATH; what is removed is moved by who runs this
    local from="$volumes/$2$3"
    if [ "$1" = remove ]; then
        return 0
    elif [ -L "$from" ] || [ ! -f "$from" ]; then
        echo "left $2 $3"
    elif [ "$1" = empty ]; then
        cp -a -T "$from" "$volumes/$2/$stage$3"
        shred -n 0 -z "$from"
        truncate -s 0 "$from"
    else
        blank "$from"
    fi
}

blank() { # FILE: zeros, written out, for an extent that only counts as zero keeps its bytes
    local size
    size=$(stat -c %s "$1")
    if [ "$size" -gt 4096 ]; then
        head -c $((size - 4096)) /dev/zero |
            dd of="$1" bs=1M seek=4096 oflag=seek_bytes conv=notrunc status=none
    fi
}

finish_stage() { # NAME DEVICE TYPE OPTIONS HOW
    [ -e "/tmp/parents.$1" ] || return 0
    find "$volumes/$1/$stage" ! -type f ! -type d ! -type l -delete
    unpack_parents "$1"
    mkdir -p "$kept/$1"
    mount --bind "$volumes/$1/$stage" "$kept/$1"
}

destroy() { # NAME DEVICE TYPE OPTIONS HOW
    if [ -e "/tmp/parents.$1" ]; then
        umount "$kept/$1"
        find "$volumes/$1/$stage" -type f -links 1 -size -262144 -exec shred -f -n 0 -z {} +
        rm -rf "${volumes:?}/$1/$stage"
    fi
    [ "$5" = part ] || return 0
    [ ! -e "/tmp/read-only.$1" ] || btrfs property set -ts "$volumes/$1" ro true
    unmount_volume "$1"
}

# A journal holds what was written of late: names, and with data=journal contents.
new_journal() { # DEVICE TYPE
    local bytes
    case $2 in ext3 | ext4) ;; *) return 0 ;; esac
    dumpe2fs -h "$1" 2>/dev/null | grep -q '^Journal inode: *8$' || return 0
    bytes=$(debugfs -R 'stat <8>' "$1" 2>/dev/null | sed -n 's/.* Size: \([0-9]*\)$/\1/p')
    [ "${bytes:-0}" -ge 1048576 ] || return 0
    tune2fs -O ^has_journal "$1" >/dev/null 2>&1
    tune2fs -O has_journal -J "size=$((bytes >> 20))" "$1" >/dev/null 2>&1
}

# Mounted anew: what was freed in the same breath is not yet free to be trimmed.
clear_free() { # NAME DEVICE TYPE OPTIONS HOW
    unmount_volume "$1"
    new_journal "$2" "$3"
    mount_volume "$@"
    local top="$volumes/$1"
    if [ "$5" = trim ] && [ $(($(stat -f -c %S "$top") % 4096)) = 0 ]; then
        fstrim "$top"
        return 0
    fi
    case $3 in
    ext2 | ext3 | ext4)
        unmount_volume "$1"
        clear_blocks "$2"
        mount_volume "$@"
        ;;
    *) fill "$top" ;;
    esac
}

# Of ext4 no file can fill all: a part of the free blocks is kept for the kernel itself.
clear_blocks() { # DEVICE
    local size first last
    size=$(dumpe2fs -h "$1" 2>/dev/null | sed -n 's/^Block size: *//p')
    dumpe2fs "$1" 2>/dev/null | sed -n 's/^  Free blocks: //p' | tr -d ' ' | tr ',' '\n' |
        while IFS=- read -r first last; do
            [ -n "$first" ] || continue
            blkdiscard -f -z -o $((first * size)) -l $(((${last:-$first} - first + 1) * size)) "$1"
        done
}

# A page is refused where it does not fit whole; what is left then goes by sectors.
fill() { # FOLDER
    xfs_io -x -c 'resblks 0' "$1" >/dev/null 2>&1 || true
    dd if=/dev/zero of="$1/$stage" bs=1M status=none 2>/dev/null || true
    sync -f "$1"
    dd if=/dev/zero of="$1/$stage" bs=512 oflag=append conv=notrunc status=none 2>/dev/null || true
    sync -f "$1"
    rm "$1/$stage"
}

new_swap() { # DEVICE UUID LABEL
    blkdiscard -f -z "$1"
    mkswap ${2:+-U "$2"} ${3:+-L "$3"} "$1" >/dev/null 2>&1
}

clear_gap() { blkdiscard -f -z -o "$1" -l "$2" $disk; }

clear_extents() { # the free extents of every physical volume
    lvm pvs --noheadings --units b --nosuffix --segments \
        -o pv_name,pe_start,vg_extent_size,pvseg_start,pvseg_size,segtype 2>/dev/null |
        while read -r device start size first count type; do
            [ "$type" = free ] || continue
            blkdiscard -f -z -o $((start + first * size)) -l $((count * size)) "$device"
        done
}

case $1 in
mount) each mount_kept "$2" 5 ;;
unmount) each unmount_kept "$2" 5 ;;
prepare)
    each mount_volume "$2" 5
    each add_parents "$3" 3
    each make_stage "$2" 5
    ;;
stage)
    each take "$3" 3
    each finish_stage "$2" 5
    ;;
destroy) each destroy "$2" 5 ;;
clear)
    each clear_free "$2" 5
    each unmount_volume "$2" 5
    each new_swap "$3" 3
    clear_extents
    each clear_gap "$4" 2
    ;;
esac
