"""Prompts a person can pick in their host: explore what there is, or investigate a question."""

from typing import Annotated

from mcp.server import MCPServer
from pydantic import Field

_EVIDENCE = (
    "State only what an answer of a tool shows, with its query, and say when a number comes from a sample. "
    "Keep each conclusion with remember, its query as evidence."
)


def add_prompts(server: MCPServer) -> None:
    """Offer `explore` and `investigate`."""

    @server.prompt(title="Explore the sources")
    def explore(
        goal: Annotated[str, Field(description="What you want to know")] = "find out what these sources hold",
        schema: Annotated[str, Field(description="Start with this schema")] = "",
    ) -> str:
        """Get to know sources you have never seen."""
        start = f'Begin with describe_schema on "{schema}".' if schema else "Begin with list_schemas."
        return (
            f"Explore the sources of UDS. Goal: {goal}. Call open_session with this goal and pass the handle to every "
            f"call. {start} Describe what fits the goal, profile the attributes that matter, then summarise: what each "
            f"schema holds, how they seem to belong together, what looks untrustworthy. {_EVIDENCE}"
        )

    @server.prompt(title="Investigate a question")
    def investigate(
        question: Annotated[str, Field(description="The question or symptom")],
        schema: Annotated[str, Field(description="Where to look first")] = "",
        attribute: Annotated[str, Field(description="The attribute that looks wrong")] = "",
    ) -> str:
        """Answer one question with evidence."""
        place = f' Look first at "{schema}"' + (f', attribute "{attribute}".' if attribute else ".") if schema else ""
        return (
            f"Investigate with UDS: {question}.{place} Call recall first: the answer may be known. Otherwise "
            f"open_session with the question as goal, write down two or three explanations as context, and for each "
            f"find the query that would refute it before the one that would support it. {_EVIDENCE} "
            f"End with set_goal status=done."
        )
