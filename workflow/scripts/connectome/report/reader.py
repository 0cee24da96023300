"""Tables and drawings of a results folder, as the page reads them; standard library only."""

import csv
import json
