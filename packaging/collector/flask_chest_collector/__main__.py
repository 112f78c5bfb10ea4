"""``python -m flask_chest_collector``."""

from __future__ import annotations

import sys

from flask_chest_collector import main

sys.exit(main())
