"""What went wrong in a run beside its scenes."""

from collections.abc import Mapping

from airflow.sdk import Context, TaskInstanceState


def failed_tasks(context: Context) -> list[str]:
    """A sentence for each task of the run that failed; those that never ran because of one are not named."""
    run = context["dag_run"]
    states = context["ti"].get_task_states(dag_id=run.dag_id, run_ids=[run.run_id]).get(run.run_id, {})
    return [
        f"task {name} failed: its log says why"
        for name, state in sorted(states.items())
        if state == TaskInstanceState.FAILED
    ]


def failed_searches(searched: object) -> list[str]:
    """A sentence for each provider that could not be asked.

    Args:
        searched: What `discover` returned; None where it did not, which counts as a failed task.
    """
    failures = searched.get("failures", []) if isinstance(searched, Mapping) else []
    return [f"{each['profile']}, area {each['area']}: {each['sentence']}" for each in failures]
