"""`python -m kerasbridge.saving inspect FILE`."""

from kerasbridge.saving.inspecting import main

raise SystemExit(main())
