# Everything that servers must hold before the flow begins; safe to say twice.
set -eu
airflow db migrate
# Once: pools that a person has changed since stay as they are.
airflow pools get gpu >/dev/null 2>&1 || airflow pools import /opt/airflow/plugins/pools.json
undersky ledger migrate
undersky store prepare
