# Prints what the model is told of this image, in two lines. Run by the Dockerfile, in the image.
version() { dpkg-query -W -f '${Version}' "$1" 2>/dev/null | sed 's/^[0-9]*://; s/[+~-].*//; s/^\([0-9]*\.[0-9]*\).*/\1/'; }
list=
add() { # the text, and the package that it needs
  found=$(version "$2")
  [ -z "$found" ] || list="$list${list:+, }$1 $found"
}
add Python python3
modules=
for each in numpy:python3-numpy pandas:python3-pandas openpyxl:python3-openpyxl matplotlib:python3-matplotlib \
  pypdf:python3-pypdf pillow:python3-pil; do
  found=$(version "${each#*:}")
  [ -z "$found" ] || modules="$modules${modules:+, }${each%%:*} $found"
done
[ -z "$modules" ] || list="$list with $modules"
list="$list${list:+, }Node $(node -p 'process.versions.node.split(".").slice(0, 2).join(".")')"
add git git
add 'gcc, g++ and make:' gcc
add 'ripgrep (rg)' ripgrep
add jq jq
add sqlite3 sqlite3
add pandoc pandoc
add 'poppler (pdftotext, pdftoppm)' poppler-utils
add 'ImageMagick (convert)' imagemagick
add zip zip
echo "Installed: $list."
echo 'There is no network: nothing can be downloaded or installed beyond that.'
