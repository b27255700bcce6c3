"""php-fpm with four workers: refreshes after the response, and the example pages under load.

usage: workers.py FPM EXAMPLES AUTOLOAD REDIS_URL [SECONDS]
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "conformance"))

from fpm import Fpm
from servers import until
from workers_under_load import WORKERS, load, server_at

FPM, EXAMPLES, AUTOLOAD, URL = sys.argv[1:5]
SECONDS = float(sys.argv[5]) if len(sys.argv) > 5 else 10.0

# Says that a build runs only when the test lets it end; so what is answered before is answered before.
REFRESH = """<?php
require getenv('CORRAL_AUTOLOAD');
$cache = new Corral\\Corral(getenv('REDIS_URL'), swr: 60);
echo $cache->getOrBuild('k', function () {
    touch(__DIR__ . '/begun');
    for ($end = microtime(true) + 20; !is_file(__DIR__ . '/gate') && microtime(true) < $end; usleep(5000)) { clearstatcache(); }
    return 'new';
});
"""


def refresh_after_the_response(fpm: Fpm) -> None:
    server = server_at(URL)
    server.call("FLUSHALL")
    server.call("CACHE.SET", "k", '"old"', "PX", "1", "SWR", "60000")
    time.sleep(0.01)
    script = fpm.directory / "refresh.php"
    script.write_text(REFRESH)
    status, body = fpm.get(script)
    assert (status, body) == (200, "old"), (status, body)
    until("the build begins", fpm.directory.joinpath("begun").exists)
    assert fpm.get(script)[1] == "old"  # of another worker, while the first one builds
    fpm.directory.joinpath("gate").touch()
    until("the new value is there", lambda: server.call("CACHE.GET", "k")[1] == '"new"')
    assert fpm.get(script)[1] == "new"


fpm = Fpm(FPM, WORKERS, {"CORRAL_AUTOLOAD": AUTOLOAD, "REDIS_URL": URL})
try:
    refresh_after_the_response(fpm)
    said = [
        load(URL, page, lambda query, page=page: fpm.get(Path(EXAMPLES, page), query), SECONDS)
        for page in ("page.php", "symfony_page.php")
    ]
    print("a refresh runs after the response; " + "; ".join(said))
finally:
    fpm.end()
