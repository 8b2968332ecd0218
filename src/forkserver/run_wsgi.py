"""run_wsgi.py FILE:CALLABLE [ARG...]: what scgid starts for `wsgi`.

The same as inetd_scgi.py; but Python keeps compiled what is imported, and
compiles what it is started with anew, which takes a quarter of its start.
"""

from inetd_scgi import main

main()
