# Airflow's API server; its one password lies in a file that is made anew, in memory, at every start.
set -eu
umask 077
printf '{"admin": "%s"}' "$STACK_AIRFLOW_ADMIN" >"$AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"
unset STACK_AIRFLOW_ADMIN
exec airflow api-server --host 0.0.0.0 --port 8080 --workers 1
