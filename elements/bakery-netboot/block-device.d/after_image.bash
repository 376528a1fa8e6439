# Sourced by diskimage-builder's shell (40-bakery-netboot). There finish_image IMAGE gives an image
# its final name, and cleanup_image_dir, which is called last, removes what it was made in: only
# then, when nothing of diskimage-builder's is left to clean up, bakery builds the first image.

for name in finish_image cleanup_image_dir; do
    if ! declare -f $name > /dev/null; then
        echo "bakery-netboot: this diskimage-builder has no $name" >&2
        exit 1
    fi
    eval "dib_$(declare -f $name)"
done
BAKERY_IMAGE=

function finish_image {
    dib_finish_image "$@"
    if [[ -z "$BAKERY_IMAGE" && "$1" != *.tgz ]]; then
        BAKERY_IMAGE=$1
    fi
}

function cleanup_image_dir {
    dib_cleanup_image_dir
    if [[ -z "$BAKERY_IMAGE" ]]; then
        return
    fi
    # The options are words.
    # shellcheck disable=SC2086
    if ! "$BAKERY" build "$BAKERY_IMAGE" --output "$IMAGE_NAME.build" \
            --name "$(basename "$IMAGE_NAME")" $BAKERY_BUILD_OPTIONS; then
        # What diskimage-builder does at an early end was done, and would fail a second time.
        trap - EXIT
        exit 1
    fi
}
