#!/usr/bin/env bash
# Installs the project and Ray's cluster tools into an environment:
#   deploy/install.sh PYTHON cpu|cuda
# The Dockerfile runs this file, and a test runs it in a clean environment.
# TORCH_INDEX_URL names another index of torch wheels; empty is pip's own.
set -euo pipefail

python=${1:?the Python of the environment}
variant=${2:?cpu or cuda}
source_folder=$(cd "$(dirname "$0")/.." && pwd)

case "$variant" in
    cpu)
        torch_index=${TORCH_INDEX_URL-https://download.pytorch.org/whl/cpu}
        extras=cluster
        ;;
    cuda)
        torch_index=${TORCH_INDEX_URL-} # the wheels of PyPI have CUDA in them
        extras=cluster,gpu
        ;;
    *)
        echo "the variant must be cpu or cuda, got $variant" >&2
        exit 2
        ;;
esac

cd "$source_folder"
install=("$python" -m pip install --no-cache-dir --constraint constraints.txt)
# An index of torch's own has not all that torch needs in our versions: the second line brings it.
"${install[@]}" ${torch_index:+--index-url "$torch_index"} --no-deps torch
"${install[@]}" ".[$extras]"
"$python" -m tune.run --help >/dev/null
