# Writes the header that says what was built, and touches it only when that changes. Run at every build, because the
# commit changes without CMake hearing of it.
set(code_version "${VERSION}")
find_program(GIT git)
if(GIT)
    set(git ${GIT} --no-optional-locks -C ${SOURCE})
    execute_process(COMMAND ${git} rev-parse --show-toplevel OUTPUT_VARIABLE top ERROR_QUIET
        OUTPUT_STRIP_TRAILING_WHITESPACE)
    execute_process(COMMAND ${git} rev-parse --short=10 HEAD OUTPUT_VARIABLE commit ERROR_QUIET
        OUTPUT_STRIP_TRAILING_WHITESPACE)
    execute_process(COMMAND ${git} status --porcelain --untracked-files=no OUTPUT_VARIABLE changes ERROR_QUIET)
    if(commit AND top STREQUAL SOURCE) # not the commit of a repository that merely contains an unpacked release
        string(APPEND code_version "+g${commit}")
        if(changes)
            string(APPEND code_version ".dirty")
        endif()
    endif()
endif()
set(text "#define VQS_CODE_VERSION \"${code_version}\"\n#define VQS_BUILD_FLAGS \"${FLAGS}\"\n")
if(EXISTS ${OUT})
    file(READ ${OUT} old)
endif()
if(NOT "${old}" STREQUAL "${text}")
    file(WRITE ${OUT} "${text}")
endif()
